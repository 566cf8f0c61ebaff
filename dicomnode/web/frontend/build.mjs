// Copies what pages load, with its licence, to where the node serves it from. Nothing is bundled or changed.
import { copyFileSync, mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const FILES = {
  "node_modules/htmx.org/dist/htmx.min.js": "htmx.min.js",
  "node_modules/htmx.org/LICENSE": "htmx.LICENSE.txt",
};

mkdirSync(at("../static/vendor"), { recursive: true });
for (const [from, to] of Object.entries(FILES)) copyFileSync(at(from), at(`../static/vendor/${to}`));
