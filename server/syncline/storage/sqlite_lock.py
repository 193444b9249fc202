"""Who may have a database file open: one server, or several that hear of each other's commits by Redis."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from syncline.errors import StartRefused


class FileLock:
    """Held from construction until ``release``, or until the process ends, however it ends.

    The lock is the kernel's, on a file beside the database; the file itself stays and means nothing.
    """

    def __init__(self, database: Path, *, shared: bool = False) -> None:
        """``shared``: others may hold it too, if they share it. Raises StartRefused if another is in the way."""
        path = database.with_suffix(".lock")
        try:
            # Not truncated by opening: it names the holder.
            self._file = open(path, "a+", encoding="ascii")  # noqa: SIM115 - held as long as the lock
        except OSError as error:
            raise StartRefused(f"cannot open {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.seek(0)
            holder = self._file.read(20).strip()
            self._file.close()
            who = f"process {holder}" if holder.isdigit() else "another process"
            raise StartRefused(
                f"{database} is in use by {who}; several can open it only if all have a Redis to tell each other"
            ) from error
        except OSError as error:
            self._file.close()
            raise StartRefused(f"cannot lock {path}: {error.strerror}") from error
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Let others have it. Releasing twice is harmless."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()
