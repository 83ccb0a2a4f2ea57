// Undo and redo of a JSON value.

const MOST = 200;

export class History {
  constructor(value) {
    this.past = [];
    this.future = [];
    this.now = structuredClone(value);
  }

  // Keeps a new value; equal ones are one step.
  keep(value) {
    if (JSON.stringify(value) === JSON.stringify(this.now)) return;
    this.past.push(this.now);
    if (this.past.length > MOST) this.past.shift();
    this.now = structuredClone(value);
    this.future = [];
  }

  undo() {
    if (!this.past.length) return null;
    this.future.push(this.now);
    this.now = this.past.pop();
    return structuredClone(this.now);
  }

  redo() {
    if (!this.future.length) return null;
    this.past.push(this.now);
    this.now = this.future.pop();
    return structuredClone(this.now);
  }
}
