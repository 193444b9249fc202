import { useEffect, useState, type FocusEvent } from 'react';

/** A text that is kept when one leaves it, or presses Enter; what others make of it shows while nobody types in it. */
export function Field(props: {
  readonly label: string;
  readonly value: string;
  readonly disabled?: boolean;
  readonly hidesLabel?: boolean;
  readonly onKeep: (value: string) => void;
  readonly onTyping?: (typing: boolean) => void;
}) {
  const [draft, setDraft] = useState<string>();
  const { value, onKeep, onTyping } = props;

  useEffect(() => {
    onTyping?.(draft !== undefined);
  }, [draft !== undefined]);

  function keep(event: FocusEvent<HTMLInputElement>): void {
    const text = event.currentTarget.value.trim();
    setDraft(undefined);
    if (draft !== undefined && text !== value && text !== '') {
      onKeep(text);
    }
  }

  return (
    <label className="field">
      <span className={props.hidesLabel ? 'visually-hidden' : 'field-label'}>{props.label}</span>
      <input
        type="text"
        maxLength={200}
        autoComplete="off"
        disabled={props.disabled}
        value={draft ?? value}
        onChange={(event) => setDraft(event.currentTarget.value)}
        onBlur={keep}
        onKeyDown={(event) => {
          if (event.key === 'Enter') {
            event.currentTarget.blur();
          } else if (event.key === 'Escape') {
            setDraft(undefined);
          }
        }}
      />
    </label>
  );
}
