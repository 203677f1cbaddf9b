// All cases. Run with the package in `node_modules/@bgfetch/bgfetch`.
import "./engine.js";
import "./manager.js";
import "./records.js";
import "./bodies.js";
import "./events.js";
import "./user.js";
import "./interfaces.js";
import "./processes.js";
import { runAll } from "./harness.js";

await runAll();
