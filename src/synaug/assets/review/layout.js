// Where each tile of the grid lies: rows of tiles below a heading per class. Numbers only, no elements.

export const GAP = 8, CAPTION = 18, HEAD = 44;
const TILE = 132, TILE_ON_A_PHONE = 92; // wanted width

// How many columns fit, and how wide a tile is then.
export function measured(width, isPhone) {
  const wanted = isPhone ? TILE_ON_A_PHONE : TILE;
  const columns = Math.max(2, Math.floor((width + GAP) / (wanted + GAP)));
  return { columns, side: Math.floor((width - GAP * (columns - 1)) / columns) };
}

// Rows {y, height, label, number} of headings and {y, height, from, to} of tiles; from and to are places in the order.
export function laidOut(labels, columns, side) {
  const rows = [], height = side + CAPTION + GAP;
  let y = 0;
  for (let from = 0; from < labels.length; ) {
    let end = from;
    while (end < labels.length && labels[end] === labels[from]) end++;
    rows.push({ y, height: HEAD, label: labels[from], number: end - from });
    y += HEAD;
    for (; from < end; from += columns) {
      rows.push({ y, height, from, to: Math.min(end, from + columns) });
      y += height;
    }
    from = end;
  }
  return { rows, height: y };
}

export const isHead = (row) => row?.label !== undefined;

export function firstRowAt(rows, y) {
  let low = 0, high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].y + rows[middle].height <= y) low = middle + 1;
    else high = middle;
  }
  return low;
}

export const rowOf = (rows, place) => rows.findIndex((row) => row.from <= place && place < row.to);

// The place one row up or down, in the same column if that row is long enough.
export function vertically(rows, place, step) {
  const number = rowOf(rows, place);
  if (number < 0) return place;
  const row = rows[isHead(rows[number + step]) ? number + 2 * step : number + step];
  return row === undefined || isHead(row) ? place : Math.min(row.from + place - rows[number].from, row.to - 1);
}

// The first place of the class before or after.
export function toClass(rows, place, step) {
  const starts = rows.flatMap((row, number) => (isHead(row) ? [rows[number + 1].from] : []));
  const at = starts.findLastIndex((from) => from <= place);
  return starts[Math.min(Math.max(at + step, 0), starts.length - 1)] ?? 0;
}
