"""``python -m syncline`` is the command ``syncline``."""

from syncline.cli import main

if __name__ == "__main__":
    main()
