// META: timeout=long
// META: script=resources/server.sub.js
// META: script=resources/helper.js
// META: script=resources/resume.js
// Validate a partial response: which 206 continues what is stored (D4).
"use strict";

resumes(
  "Validate a partial response: a 206 with another ETag restarts",
  [half, { ...whole, headers: [["ETag", '"a"'], ["ETag", '"b"']] }, other],
  { size: 50_000, seed: 1, ranges: restarted },
);

resumes(
  "Validate a partial response: a 206 that lost the ETag restarts",
  [half, rest([["Content-Range", `bytes ${HALF}-${WHOLE - 1}/${WHOLE}`]]), other],
  { size: 50_000, seed: 1, ranges: restarted },
);

resumes(
  "Validate a partial response: a 206 that begins elsewhere restarts",
  [half, rest([A, ["Content-Range", `bytes 0-${WHOLE - 1}/${WHOLE}`]]), whole],
  { ranges: restarted },
);

resumes(
  "Validate a partial response: a 206 of another length restarts",
  [
    { status: 206, size: HALF, headers: [A, ["Content-Range", `bytes 0-${HALF - 1}/${WHOLE}`]] },
    rest([A, ["Content-Range", `bytes ${HALF}-${WHOLE}/${WHOLE + 1}`]]),
    whole,
  ],
  { ranges: restarted },
);

resumes(
  "Validate a partial response: a 206 may leave Last-Modified out beside a matching ETag",
  [{ ...half, headers: [A, ...DATES] }, whole],
  { ranges: resumed },
);

resumes(
  "Validate a partial response: a 206 with another Last-Modified restarts",
  [
    { ...half, headers: [A, ...DATES] },
    { ...whole, headers: [A, ["Last-Modified", "Sun, 06 Nov 1994 06:49:37 GMT"]] },
    whole,
  ],
  { ranges: restarted },
);
