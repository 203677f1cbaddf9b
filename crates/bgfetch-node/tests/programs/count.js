// How many handles the engines of this thread have, with the queue that they share.
const internal = (file) => import(new URL(`../node_modules/@bgfetch/bgfetch/${file}`, import.meta.url));
const { countHandles } = await internal("native.js");
const { queueHandle } = await internal("queue.js");

const count = () => countHandles(queueHandle());

export { count };
