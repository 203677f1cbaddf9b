// Nothing is asked of it.
"use strict";
