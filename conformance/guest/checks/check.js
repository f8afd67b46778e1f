// Work for a JavaScript engine whose results are the same on every CPU: one line for each part. Run
// in a guest with each of V8's compilers, and on the host.
'use strict';
const crypto = require('crypto');
const zlib = require('zlib');
const { Worker } = require('worker_threads');

const scale = Number(process.argv[2]);

function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state;
  };
}

const hash = (data) => crypto.createHash('sha256').update(data).digest('hex').slice(0, 16);

const parts = {
  integers() {
    const random = generator(1);
    let sum = 0;
    for (let i = 0; i < 200000; i++) {
      const x = random();
      sum = (Math.imul(sum, 31) + (x >>> (i & 31)) + (x << 3 ^ i) + (x % 1000)) | 0;
    }
    return sum;
  },
  doubles() {
    const a = new Float64Array(1000);
    const f = new Float32Array(1000);
    const random = generator(2);
    for (let i = 0; i < 1000; i++) {
      a[i] = random() / 2 ** 32;
      f[i] = random() / 2 ** 32;
    }
    let sum = 0;
    for (let turn = 0; turn < 100; turn++) {
      for (let i = 1; i < 1000; i++) {
        a[i] = a[i] * 0.75 + Math.sqrt(a[i - 1]) * 0.25;
        f[i] = f[i] / (f[i - 1] + 1.5) + 0.25;
        sum += a[i] - Math.floor(a[i] * 8) / 8 + Math.fround(f[i]);
      }
    }
    return sum + ' ' + hash(Buffer.from(a.buffer)) + ' ' + hash(Buffer.from(f.buffer));
  },
  functions() {
    let sum = 0;
    for (let i = 1; i < 3000; i++) {
      sum += Math.sin(i) + Math.log(i) + Math.atan(i / 9) + Math.cbrt(i) + Math.exp(-i / 50) + (i % 1.3);
    }
    return sum;
  },
  bigints() {
    let a = 1n, b = 1n;
    for (let i = 0; i < 3000; i++) {
      [a, b] = [b, a + b];
    }
    return hash((a * b).toString(16)) + hash((b / (a >> 500n)).toString()) + BigInt.asUintN(64, a * b);
  },
  strings() {
    const random = generator(3);
    let text = '';
    for (let i = 0; i < 3000; i++) {
      text += random().toString(36) + (i % 7 ? ' ' : 'ä€😀\n');
    }
    const words = text.split(/\s+/).sort();
    return hash(text) + hash(words.join()) + (text.match(/[a-f]+\d{2,}\b/g) || []).length +
        hash(text.replace(/[aeiou]/g, '<$&>').toUpperCase()) + hash([...text].reverse().join(''));
  },
  objects() {
    const random = generator(4);
    const counts = {};
    const map = new Map();
    for (let i = 0; i < 30000; i++) {
      const key = 'k' + random() % 1009;
      counts[key] = (counts[key] || 0) + i;
      map.set(i % 777, key);
      if (i % 5 === 0) {
        delete counts['k' + i % 1009];
      }
    }
    return hash(JSON.stringify(Object.entries(counts).sort()) + JSON.stringify([...map]));
  },
  json() {
    const tree = (n) => n === 0 ? [1.5, 'x', null, true] : { n, left: tree(n - 1), right: tree(n - 1) };
    const text = JSON.stringify(tree(9));
    return text.length + hash(JSON.stringify(JSON.parse(text), null, 1));
  },
  // Shapes and types change in the middle, so that optimised code is thrown away.
  shapes() {
    class Circle { constructor(r) { this.r = r; } area() { return this.r * this.r * 3; } }
    class Square { constructor(a) { this.a = a; this.b = a; } area() { return this.a * this.b; } }
    const add = (x, y) => x + y;
    let sum = 0, text = '';
    for (let i = 0; i < 50000; i++) {
      const shape = i % 1000 < 900 || i < 30000 ? new Circle(i % 10) : new Square(i % 7);
      sum = add(sum, shape.area());
      if (i > 45000 && i % 100 === 0) {
        text = add(text, String(shape.area()));
      }
    }
    return sum + hash(text);
  },
  exceptions() {
    let caught = 0;
    const deep = (n) => n === 0 ? null.x : 1 + deep(n - 1);
    for (let i = 0; i < 2000; i++) {
      try {
        caught += deep(i % 20);
      } catch (e) {
        caught += e instanceof TypeError ? 1 : 1000;
      }
    }
    const endless = () => endless() + 1;
    try {
      endless();
    } catch (e) {
      caught += e instanceof RangeError ? 5 : 5000;
    }
    return caught;
  },
  generators() {
    function* primes(limit) {
      const composite = new Uint8Array(limit);
      for (let i = 2; i < limit; i++) {
        if (!composite[i]) {
          yield i;
          for (let j = i * i; j < limit; j += i) composite[j] = 1;
        }
      }
    }
    let sum = 0;
    for (const p of primes(100000)) sum += p;
    return sum;
  },
  packing() {
    const data = Buffer.from('the quick brown fox '.repeat(2000));
    for (let i = 0; i < data.length; i += 3) data[i] ^= i & 3;
    const packed = zlib.deflateSync(data, { level: 9 });
    const cipher = crypto.createCipheriv('aes-128-gcm', Buffer.alloc(16, 1), Buffer.alloc(12, 2));
    const secret = Buffer.concat([cipher.update(data), cipher.final()]);
    return zlib.inflateSync(packed).equals(data) + ' ' + packed.length + hash(secret) +
        crypto.createHash('sha512').update(data).digest('hex').slice(0, 16);
  },
  // (func (param i32) (result i64)): the product of (2i + 1) for i from the argument down to 1.
  webassembly() {
    if (typeof WebAssembly === 'undefined') {
      return 'none'; // There is none without code generation.
    }
    const module = new Uint8Array([
      0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
      1, 6, 1, 0x60, 1, 0x7f, 1, 0x7e,
      3, 2, 1, 0,
      7, 5, 1, 1, 0x66, 0, 0,
      10, 41, 1, 39, 1, 1, 0x7e,
      0x42, 1, 0x21, 1,
      0x03, 0x40,
      0x20, 1, 0x20, 0, 0xac, 0x42, 2, 0x7e, 0x42, 1, 0x7c, 0x7e, 0x21, 1,
      0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x41, 0, 0x4a, 0x0d, 0,
      0x0b,
      0x20, 1, 0x0b]);
    const { f } = new WebAssembly.Instance(new WebAssembly.Module(module)).exports;
    let sum = 0n;
    for (let i = 1; i < 2000; i++) sum ^= f(i);
    return sum;
  },
};

function worker() {
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const source = `const { workerData: shared } = require('worker_threads');
    for (let i = 0; i < 20000; i++) { Atomics.add(shared, 0, i); Atomics.xor(shared, 1, i * 3); }`;
  const workers = [0, 1, 2].map(() => new Promise((done, failed) => {
    new Worker(source, { eval: true, workerData: shared }).on('exit', done).on('error', failed);
  }));
  return Promise.all(workers).then(() => shared.join(' '));
}

(async () => {
  for (const [name, part] of Object.entries(parts)) {
    const first = String(part());
    for (let i = 1; i < scale; i++) {
      const again = String(part());
      if (again !== first) {
        console.log(`${name} was ${first}, in turn ${i} ${again}`);
        process.exit(1);
      }
    }
    console.log(`${name} ${first}`);
  }
  console.log('workers ' + await worker());
})();
