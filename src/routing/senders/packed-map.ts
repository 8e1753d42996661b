/** What a packed map is made of. It can be handed from thread to thread without a copy. */
export interface Packed {
  /** Entry after entry: the lengths of key and value in two bytes each, then both as UTF-8. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where each entry begins, by its hash: one more than its offset, 0 for a free slot; a power of two of them. */
  readonly slots: Uint32Array<ArrayBuffer>;
  readonly size: number;
}

/**
 * Text to text, in two buffers. A million entries in a `Map` are two million objects that each major garbage collection
 * walks through, and a map of that size stops everybody while it grows.
 */
export class PackedMap {
  readonly #packed: Packed;

  constructor(packed: Packed) {
    this.#packed = packed;
  }

  get size(): number {
    return this.#packed.size;
  }

  get(key: string): string | undefined {
    const { bytes, slots } = this.#packed;
    const offset = (slots[slotOf(Buffer.from(key), bytes, slots)] ?? 0) - 1;
    return offset < 0 ? undefined : entryAt(bytes, offset).value;
  }

  /** In the order in which they were added. */
  *entries(): Generator<readonly [key: string, value: string]> {
    const { bytes } = this.#packed;
    for (let offset = 0; offset < bytes.length; ) {
      const { key, value, end } = entryAt(bytes, offset);
      yield [key, value];
      offset = end;
    }
  }
}

const HEADER = 4;
/** Of a key or a value, in bytes: what two bytes can count. */
const MAX_LENGTH = 0xffff;
/** Of all entries, in bytes: what a slot can tell the beginning of. */
const MAX_BYTES = 0xffff_ffff;
const MAX_BYTES_A_CHAR = 3;
const FIRST_BYTES = 1 << 16;
const FIRST_SLOTS = 1 << 10;

export class PackedMapBuilder {
  readonly #room: number;
  readonly #most: number;
  #bytes = Buffer.alloc(0);
  #slots = new Uint32Array(FIRST_SLOTS);
  #length = 0;
  #size = 0;

  /**
   * What is never written to takes no memory, and what is outgrown is not given back by the thread that asked for it: better
   * too much than too little.
   *
   * @param room for how many bytes, lengths of keys and values among them
   * @param most for how many bytes at most
   */
  constructor(room = FIRST_BYTES, most = MAX_BYTES) {
    this.#room = room;
    this.#most = most;
  }

  /**
   * @returns the value that the key has already; undefined where it is new, and only then is it added
   * @throws {RangeError} when key or value are longer than 65,535 bytes, or there is no place for them
   */
  add(key: string, value: string): string | undefined {
    const offset = this.#length;
    this.#makeRoom(offset + HEADER + MAX_BYTES_A_CHAR * (key.length + value.length));
    const keyLength = this.#bytes.write(key, offset + HEADER);
    const valueLength = this.#bytes.write(value, offset + HEADER + keyLength);
    if (keyLength > MAX_LENGTH || valueLength > MAX_LENGTH) throw new RangeError('an entry is too long');
    this.#bytes.writeUInt16LE(keyLength, offset);
    this.#bytes.writeUInt16LE(valueLength, offset + 2);

    const slot = slotOf(keyAt(this.#bytes, offset), this.#bytes, this.#slots);
    const taken = this.#slots[slot] ?? 0;
    if (taken > 0) return entryAt(this.#bytes, taken - 1).value;
    const end = offset + HEADER + keyLength + valueLength;
    if (end > this.#most) throw new RangeError(`the entries are longer than ${this.#most} bytes together`);
    this.#slots[slot] = offset + 1;
    this.#length = end;
    this.#size += 1;
    // Half of the slots stay free: then the next free one is never far.
    if (this.#size * 2 > this.#slots.length) this.#slots = this.#spread(this.#slots.length * 2);
    return undefined;
  }

  build(): Packed {
    return { bytes: new Uint8Array(this.#bytes.buffer, 0, this.#length), slots: this.#slots, size: this.#size };
  }

  #makeRoom(length: number): void {
    if (length <= this.#bytes.length) return;
    const larger = Buffer.alloc(Math.max(this.#room, this.#bytes.length * 2, length));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }

  #spread(length: number): Uint32Array<ArrayBuffer> {
    const slots = new Uint32Array(length);
    for (const taken of this.#slots) {
      if (taken > 0) slots[slotOf(keyAt(this.#bytes, taken - 1), this.#bytes, slots)] = taken;
    }
    return slots;
  }
}

/** Where the key is, or would be. */
function slotOf(key: Uint8Array, bytes: Uint8Array, slots: Uint32Array): number {
  const mask = slots.length - 1;
  for (let slot = hashOf(key) & mask; ; slot = (slot + 1) & mask) {
    const taken = slots[slot] ?? 0;
    if (taken === 0 || isKeyOf(bytes, taken - 1, key)) return slot;
  }
}

function isKeyOf(bytes: Uint8Array, offset: number, key: Uint8Array): boolean {
  if (lengthAt(bytes, offset) !== key.length) return false;
  const start = offset + HEADER;
  for (let index = 0; index < key.length; index += 1) if (bytes[start + index] !== key[index]) return false;
  return true;
}

function lengthAt(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] ?? 0) | ((bytes[offset + 1] ?? 0) << 8);
}

function keyAt(bytes: Uint8Array, offset: number): Uint8Array {
  return bytes.subarray(offset + HEADER, offset + HEADER + lengthAt(bytes, offset));
}

function entryAt({ buffer, byteOffset }: Uint8Array, offset: number) {
  const bytes = Buffer.from(buffer, byteOffset);
  const start = offset + HEADER + lengthAt(bytes, offset);
  const end = start + lengthAt(bytes, offset + 2);
  return { key: bytes.toString('utf8', offset + HEADER, start), value: bytes.toString('utf8', start, end), end };
}

/** FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/), and its bits mixed: numbers in a row differ in few of them. */
function hashOf(key: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index += 1) hash = Math.imul(hash ^ (key[index] ?? 0), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
