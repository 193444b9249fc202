import { useState } from 'react';

/** One line and a button: what is added is handed on, and the line is empty again. */
export function NewItem(props: {
  readonly label: string;
  readonly placeholder?: string;
  readonly action?: string;
  readonly disabled?: boolean;
  readonly onAdd: (text: string) => void;
}) {
  const { label, placeholder = label, action = 'Add', disabled, onAdd } = props;
  const [text, setText] = useState('');
  return (
    <form
      className="new-item"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() !== '') {
          onAdd(text.trim());
          setText('');
        }
      }}
    >
      <input
        type="text"
        aria-label={label}
        placeholder={placeholder}
        maxLength={200}
        autoComplete="off"
        disabled={disabled}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
      />
      <button type="submit" disabled={disabled}>
        {action}
      </button>
    </form>
  );
}
