//! A store with arbitrary values in its rows. Each line of the input is the letter of a column in
//! [`COLUMNS`] and its new value. The store is either opened or set aside. If it is opened, the
//! model continues with its contents.
#![no_main]

use bgfetch_fuzz::store::{Place, go_on};
use libfuzzer_sys::fuzz_target;

/// By letters from `A` on. The value is set in every row, if the schema allows it.
const COLUMNS: [&str; 30] = [
    "registration SET storage_key",
    "registration SET scope",
    "fetch SET key",
    "fetch SET id",
    "fetch SET title",
    "fetch SET icons",
    "fetch SET download_total",
    "fetch SET paused",
    "fetch SET abort_all",
    "fetch SET cause",
    "fetch SET result",
    "fetch SET created_at",
    "fetch SET settled_at",
    "fetch SET delivery_attempts",
    "fetch SET records_available",
    "fetch SET downloaded",
    "fetch SET uploaded",
    "fetch SET upload_total",
    "fetch SET principal",
    "record SET position",
    "record SET request",
    "record SET upload_begun",
    "record SET uploaded",
    "record SET generation",
    "record SET response",
    "record SET stored",
    "record SET synced",
    "record SET result",
    "meta SET value",
    "fetch SET requests_synced",
];

fuzz_target!(|input: &[u8]| {
    let place = Place::with_store();
    let text = String::from_utf8_lossy(input);
    place.edit(|sql| {
        for line in text.lines() {
            let mut chars = line.chars();
            let column = chars.next().map_or(0, |letter| letter as usize).wrapping_sub(65);
            let value = chars.as_str();
            let Some(column) = COLUMNS.get(column) else {
                continue;
            };
            // What the schema rejects cannot be in a file either.
            let statement = format!("UPDATE OR IGNORE {column} = ?");
            drop(match value.parse::<i64>() {
                Ok(number) => sql.execute(&statement, [number]),
                Err(_) if value.is_empty() => sql.execute(&statement, [None::<i64>]),
                Err(_) => sql.execute(&statement, [value]),
            });
        }
    });
    if let Some(store) = place.open() {
        go_on(store).unwrap();
    }
});
