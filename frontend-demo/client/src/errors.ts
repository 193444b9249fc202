export type Facts = Readonly<Record<string, unknown>>;

/** What went wrong. Edits are kept in every case. */
export class SynclineError extends Error {
  /** Stable: what a program acts on. */
  readonly code: string;
  /** Whether the same can succeed later. */
  readonly retryable: boolean;
  /** What was wrong, as the server's error extensions say it. */
  readonly facts: Facts;

  constructor(code: string, message: string, retryable = false, facts: Facts = {}) {
    super(message);
    this.name = 'SynclineError';
    this.code = code;
    this.retryable = retryable;
    this.facts = facts;
  }
}

export const invalid = (field: string, reason: string): SynclineError =>
  new SynclineError('INVALID_INPUT', `${field}: ${reason}`, false, { field, reason });

export const offline = (message = 'there is no connection to the server'): SynclineError =>
  new SynclineError('OFFLINE', message, true);

/** An error as another tab can be told of it. */
export interface PlainError {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly facts: Facts;
}

export const plain = (error: SynclineError | undefined): PlainError | undefined =>
  error && { ...error, message: error.message };

export const whole = (error: PlainError | undefined): SynclineError | undefined =>
  error && new SynclineError(error.code, error.message, error.retryable, error.facts);

/** Any failure as one of ours. */
export const asError = (cause: unknown, code: string): SynclineError =>
  cause instanceof SynclineError
    ? cause
    : new SynclineError(code, cause instanceof Error ? cause.message : String(cause));
