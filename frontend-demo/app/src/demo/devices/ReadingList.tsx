import type { Dataset } from '@syncline/client';
import { useEntries, usePending } from '@syncline/client/react';
import { NewItem } from '../ui/NewItem.tsx';
import { addBook, addExamples, booksIn, lastRead, readTo, removeBook, type Book } from './books.ts';

const STEP = 10;

export function ReadingList({ dataset }: { readonly dataset: Dataset }) {
  const entries = useEntries(dataset);
  const waiting = new Set(usePending(dataset).map(({ key }) => key.slice(key.indexOf('/') + 1)));
  const books = booksIn(entries);
  const last = lastRead(entries, books);
  return (
    <section aria-label="Reading list">
      <h3>Reading list</h3>
      {last === undefined ? null : (
        <button type="button" className="continue" onClick={() => readTo(dataset, last, nextPage(last))}>
          <span>
            Continue <strong>{last.title}</strong>
          </span>
          <span className="soft">page {last.page}</span>
        </button>
      )}
      <ul className="items">
        {books.map((book) => (
          <BookRow key={book.id} book={book} dataset={dataset} unsent={waiting.has(book.id)} />
        ))}
      </ul>
      {books.length === 0 ? (
        <p className="empty">
          Nothing to read yet.{' '}
          <button type="button" className="link" onClick={() => addExamples(dataset)}>
            Add three books
          </button>
        </p>
      ) : null}
      <NewItem label="New book" onAdd={(title) => addBook(dataset, title)} />
    </section>
  );
}

const nextPage = ({ page, pages }: Book): number => Math.min(pages, page + STEP);

function BookRow({ book, dataset, unsent }: { readonly book: Book; readonly dataset: Dataset; readonly unsent: boolean }) {
  const { title, page, pages } = book;
  return (
    <li className="item">
      <div className="item-text">
        <span className="title">{title}</span>
        {unsent ? <Unsent /> : null}
        <progress aria-label={`Progress of ${title}`} max={pages} value={page} />
      </div>
      <span className="soft numbers">
        {page}/{pages}
      </span>
      <button type="button" aria-label={`Read ${title} on`} disabled={page >= pages} onClick={() => readTo(dataset, book, nextPage(book))}>
        Read
      </button>
      <button type="button" className="quiet" aria-label={`Remove ${title}`} onClick={() => removeBook(dataset, book)}>
        ×
      </button>
    </li>
  );
}

/** It is on this device only, so far. */
export function Unsent() {
  return (
    <span className="unsent" title="Not sent yet">
      not sent
    </span>
  );
}
