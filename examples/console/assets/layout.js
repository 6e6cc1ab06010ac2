// Where items stand: one band per layer, as a stack is drawn. Within a band dagre puts what needs something above what
// it needs, and orders the rest so that relations cross little; a rank that is too wide for the screen wraps into rows,
// so that names stay readable whatever the count.

export const BANDS = { external: "Outside", service: "Services", process: "Processes", software: "Software", host: "Hosts", storage: "Storage", network: "Network" };
const ORDER = Object.keys(BANDS);

export const CARD = { width: 168, height: 30 };
const GAP = { x: 18, y: 16, row: 10, rank: 34, band: 26 };
const LABEL = 100;
const STEP = CARD.width + GAP.x;
// Above this dagre takes seconds; names then decide the order.
const MOST = { nodes: 500, edges: 1500 };

/** Positions of items and the bands behind them, for a screen of this shape (width over height). */
export function arrange(graph, aspect, faint) {
  const edges = graph.edges.filter((edge) => edge.from !== edge.to && !faint(edge));
  const across = dagre(graph.nodes, edges, { nodeSep: 10, rankSep: 30 });
  const layers = new Map();
  for (const node of graph.nodes) {
    if (!layers.has(node.layer)) layers.set(node.layer, []);
    layers.get(node.layer).push(node);
  }
  const blocks = [...layers.keys()].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1)).map((layer) => block(layer, layers.get(layer), edges, across));
  const columns = columnsFor(blocks, aspect);

  const positions = new Map();
  const bands = [];
  let y = 0;
  const rows = blocks.map((one) => rowsOf(one, columns));
  const width = Math.max(...rows.flat().map((row) => row.members.length), 1) * STEP - GAP.x;
  blocks.forEach((one, index) => {
    let at = y + GAP.y;
    for (const row of rows[index]) {
      const wide = row.members.length * STEP - GAP.x;
      row.members.forEach((node, place) => positions.set(node.id, { x: (width - wide) / 2 + place * STEP + CARD.width / 2, y: at + CARD.height / 2 }));
      at += CARD.height + row.gap;
    }
    const height = at - rows[index].at(-1).gap + GAP.y - y;
    bands.push({ layer: one.layer, x: (width - LABEL) / 2, y: y + height / 2, left: -LABEL - 6, width: width + LABEL + 44, height });
    y += height + GAP.band;
  });
  return { positions, bands };
}

const rank = (layer) => { const at = ORDER.indexOf(layer); return at < 0 ? ORDER.length : at; };
const byName = (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1);

/** What one layer holds: ranks of those that need each other, and the rest. */
function block(layer, members, edges, across) {
  const ids = new Set(members.map((node) => node.id));
  const inside = edges.filter((edge) => ids.has(edge.from) && ids.has(edge.to));
  const related = new Set(inside.flatMap((edge) => [edge.from, edge.to]));
  const places = dagre(members.filter((node) => related.has(node.id)), inside, { nodeSep: GAP.x, rankSep: GAP.rank });
  const ranks = new Map();
  for (const node of members) {
    const place = related.has(node.id) ? places.get(node.id) : null;
    const key = place ? place.y : Infinity;
    if (!ranks.has(key)) ranks.set(key, []);
    ranks.get(key).push({ node, x: place ? place.x : across.get(node.id)?.x ?? 0 });
  }
  const sorted = [...ranks.keys()].sort((a, b) => a - b);
  return { layer, ranks: sorted.map((key) => ranks.get(key).sort((a, b) => a.x - b.x || byName(a.node, b.node)).map((one) => one.node)) };
}

/** Rows no wider than so many columns; between ranks there is room for the lines. */
function rowsOf(one, columns) {
  return one.ranks.flatMap((members, index) => {
    const count = Math.ceil(members.length / columns);
    const each = Math.ceil(members.length / count);
    const gap = index < one.ranks.length - 1 ? GAP.rank : GAP.row;
    return Array.from({ length: count }, (_, row) => ({ members: members.slice(row * each, (row + 1) * each), gap: row < count - 1 ? GAP.row : gap }));
  });
}

/** The number of columns whose bands together come nearest to the shape of the screen. */
function columnsFor(blocks, aspect) {
  let best = { columns: 1, off: Infinity };
  const most = Math.min(40, Math.max(1, ...blocks.flatMap((one) => one.ranks.map((members) => members.length))));
  for (let columns = 1; columns <= most; columns += 1) {
    const rows = blocks.map((one) => rowsOf(one, columns));
    const height = rows.reduce((sum, all) => sum + 2 * GAP.y + GAP.band + all.reduce((inner, row) => inner + CARD.height + row.gap, 0), 0);
    const off = Math.abs(Math.log((columns * STEP + LABEL + 44) / height / aspect));
    if (off < best.off) best = { columns, off };
  }
  return best.columns;
}

/** Where dagre would put the nodes. */
function dagre(nodes, edges, spacing) {
  if (nodes.length === 0 || nodes.length > MOST.nodes || edges.length > MOST.edges) return new Map(nodes.map((node) => [node.id, { x: 0, y: 0 }]));
  const plain = window.cytoscape({
    headless: true, styleEnabled: true,
    elements: [
      ...nodes.map((node) => ({ data: { id: node.id } })),
      ...edges.map((edge, index) => ({ data: { id: `edge ${index}`, source: edge.from, target: edge.to } })),
    ],
    style: [{ selector: "node", style: { width: CARD.width, height: CARD.height } }],
  });
  try {
    plain.layout({ name: "dagre", rankDir: "TB", ...spacing, animate: false, fit: false }).run();
    return new Map(plain.nodes().map((node) => [node.id(), { x: Math.round(node.position("x")), y: Math.round(node.position("y")) }]));
  } finally {
    plain.destroy();
  }
}
