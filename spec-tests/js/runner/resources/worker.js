// A service worker that shows which fetches were clicked.
"use strict";

addEventListener("backgroundfetchclick", ({ registration: { id } }) => {
  registration.showNotification(id, { tag: "clicked" });
});
