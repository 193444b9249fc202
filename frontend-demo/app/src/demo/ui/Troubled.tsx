import { Component, type ReactNode } from 'react';

/** Says what went wrong where a view cannot go on: a browser that keeps nothing for pages, say. */
export class Troubled extends Component<{ readonly children: ReactNode }, { readonly trouble?: string }> {
  override state: { readonly trouble?: string } = {};

  static getDerivedStateFromError(error: unknown): { readonly trouble: string } {
    return { trouble: error instanceof Error ? error.message : String(error) };
  }

  override render(): ReactNode {
    const { trouble } = this.state;
    return trouble === undefined ? (
      this.props.children
    ) : (
      <div className="card troubled">
        <p role="alert">This view cannot go on: {trouble}</p>
        <button type="button" onClick={() => location.reload()}>
          Load it again
        </button>
      </div>
    );
  }
}
