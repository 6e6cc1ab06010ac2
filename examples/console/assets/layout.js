// Where items stand: one band per layer, as a stack is drawn. dagre decides the order within a band so that relations
// cross little; a band that is too wide for the screen wraps into rows, so that names stay readable whatever the count.

export const BANDS = { external: "Outside", service: "Services", process: "Processes", software: "Software", host: "Hosts", storage: "Storage", network: "Network" };
const ORDER = Object.keys(BANDS);

export const CARD = { width: 168, height: 30 };
const GAP = { x: 18, y: 16, row: 10, band: 30 };
const LABEL = 92;

export function arrange(graph, aspect) {
  const layers = new Map();
  for (const node of graph.nodes) {
    if (!layers.has(node.layer)) layers.set(node.layer, []);
    layers.get(node.layer).push(node);
  }
  const order = [...layers.keys()].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  const across = crossings(graph);
  const columns = columnsFor(order.map((layer) => layers.get(layer).length), aspect);
  const width = columns * (CARD.width + GAP.x) - GAP.x;

  const positions = new Map();
  const bands = [];
  let y = 0;
  for (const layer of order) {
    const members = layers.get(layer);
    members.sort((a, b) => across.get(a.id) - across.get(b.id) || (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1));
    const rows = Math.ceil(members.length / columns);
    const perRow = Math.ceil(members.length / rows);
    members.forEach((node, index) => {
      const row = Math.floor(index / perRow);
      const inRow = Math.min(perRow, members.length - row * perRow);
      const rowWidth = inRow * (CARD.width + GAP.x) - GAP.x;
      const column = index % perRow;
      positions.set(node.id, {
        x: (width - rowWidth) / 2 + column * (CARD.width + GAP.x) + CARD.width / 2,
        y: y + GAP.y + row * (CARD.height + GAP.row) + CARD.height / 2,
      });
    });
    const height = rows * (CARD.height + GAP.row) - GAP.row + 2 * GAP.y;
    bands.push({ layer, x: (width - LABEL) / 2, y: y + height / 2, width: width + LABEL + 40, height });
    y += height + GAP.band;
  }
  return { positions, bands };
}

const rank = (layer) => { const at = ORDER.indexOf(layer); return at < 0 ? ORDER.length : at; };

/** The number of columns whose bands together come nearest to the shape of the screen. */
function columnsFor(sizes, aspect) {
  let best = { columns: 1, off: Infinity };
  const most = Math.max(1, ...sizes);
  for (let columns = 1; columns <= Math.min(most, 40); columns += 1) {
    const width = columns * (CARD.width + GAP.x) + LABEL;
    const height = sizes.reduce((sum, size) => sum + Math.ceil(size / columns) * (CARD.height + GAP.row) + 2 * GAP.y + GAP.band, 0);
    const off = Math.abs(Math.log(width / height / aspect));
    if (off < best.off) best = { columns, off };
  }
  return best.columns;
}

/** dagre's horizontal place of each item. */
function crossings(graph) {
  const across = new Map(graph.nodes.map((node, index) => [node.id, index]));
  // Above this dagre takes seconds; names then decide the order within a band.
  if (graph.nodes.length === 0 || graph.nodes.length > 500 || graph.edges.length > 1500) return new Map(graph.nodes.map((node) => [node.id, 0]));
  const plain = window.cytoscape({
    headless: true, styleEnabled: true,
    elements: [
      ...graph.nodes.map((node) => ({ data: { id: node.id } })),
      ...graph.edges.filter((edge) => edge.from !== edge.to).map((edge, index) => ({ data: { id: `e${index}`, source: edge.from, target: edge.to } })),
    ],
    style: [{ selector: "node", style: { width: 40, height: 20 } }],
  });
  try {
    plain.layout({ name: "dagre", rankDir: "TB", nodeSep: 10, rankSep: 30, animate: false, fit: false }).run();
    plain.nodes().forEach((node) => { across.set(node.id(), Math.round(node.position("x"))); });
  } finally {
    plain.destroy();
  }
  return across;
}
