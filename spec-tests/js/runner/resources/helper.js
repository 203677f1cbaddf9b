"use strict";
var helper = "helper.js ran";
