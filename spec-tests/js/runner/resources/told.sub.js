"use strict";
var told = {
  word: "{{GET[word]}}",
  host: "{{host}}",
  port: "{{ports[https][0]}}",
  httpPort: "{{ports[http][0]}}",
  subdomain: "{{domains[www1]}}",
  alternate: "{{hosts[alt][]}}",
};
