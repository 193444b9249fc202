import { useState } from 'react';

/** One line and a button: what is added is handed on, and the line is empty again. */
export function NewItem(props: { readonly label: string; readonly disabled?: boolean; readonly onAdd: (text: string) => void }) {
  const [text, setText] = useState('');
  return (
    <form
      className="new-item"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() !== '') {
          props.onAdd(text.trim());
          setText('');
        }
      }}
    >
      <input
        type="text"
        aria-label={props.label}
        placeholder={props.label}
        maxLength={200}
        autoComplete="off"
        disabled={props.disabled}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
      />
      <button type="submit" disabled={props.disabled}>
        Add
      </button>
    </form>
  );
}
