/** Elements from code. Whatever came from a sensor goes in as text, never as markup. */

/** @typedef {Node | string | null | false} Child */
/** @typedef {Record<string, string | number | boolean | null | EventListener>} Attributes */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes] functions listen to the event of their name; null leaves out
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/**
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, attributes, ...children) {
  return filled(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

/**
 * @template {Element} E
 * @param {E} element
 * @param {Attributes | undefined} attributes
 * @param {Child[]} children
 * @returns {E}
 */
function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === false) continue;
    if (typeof value === 'function') element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children) if (child !== null && child !== false) element.append(child);
  return element;
}

/** Changes the text only when it differs. @param {Element} element @param {string} text */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {Element} element @param {string} name @param {string | null} value */
export function setAttribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/**
 * The element of index.html with this id.
 * @template {HTMLElement} E
 * @param {string} id
 * @param {new () => E} kind
 * @returns {E}
 */
export function part(id, kind) {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`index.html has no ${kind.name} #${id}`);
  return element;
}

/**
 * An id that keeps its end when there is no room: the head gives way.
 * @param {string} id
 * @returns {{element: HTMLElement, set: (id: string) => void}}
 */
export function idLabel(id) {
  const head = h('span');
  const tail = h('span');
  const element = h('bdi', { class: 'id' }, head, tail);
  /** @param {string} text */
  const set = (text) => {
    const letters = [...text];
    const cut = Math.max(0, letters.length - 8);
    setText(head, letters.slice(0, cut).join(''));
    setText(tail, letters.slice(cut).join(''));
    setAttribute(element, 'title', text);
  };
  set(id);
  return { element, set };
}
