/** The few things that the views need of the page. */

/** The element inside `root` that matches `selector`, which must be there. */
export function part<Kind extends HTMLElement = HTMLElement>(root: ParentNode, selector: string): Kind {
  const found = root.querySelector<Kind>(selector);
  if (found === null) {
    throw new Error(`the page has no ${selector}`);
  }
  return found;
}

/** A copy of the one element in the template of this id. */
export function clone(templateId: string): HTMLElement {
  const template = part<HTMLTemplateElement & HTMLElement>(document, `#${templateId}`);
  return template.content.firstElementChild?.cloneNode(true) as HTMLElement;
}
