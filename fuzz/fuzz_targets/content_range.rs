//! `Content-Range`: each line of the input is the value of one such header.
#![no_main]

use bgfetch_fuzz::lines;
use bgfetch_model::algorithms::extract_content_range_values::{
    extract_content_range_values, extract_unsatisfied_length,
};
use bgfetch_model::header_list::HeaderList;
use libfuzzer_sys::fuzz_target;

fn list(values: impl IntoIterator<Item = String>) -> HeaderList {
    values.into_iter().map(|value| ("Content-Range", value)).collect()
}

fuzz_target!(|input: &[u8]| {
    let headers = list(lines(input));
    let range = extract_content_range_values(&headers);
    let unsatisfied = extract_unsatisfied_length(&headers);
    assert!(range.is_none() || unsatisfied.is_none(), "a part and no part at once");
    assert!(headers.len() == 1 || (range.is_none() && unsatisfied.is_none()), "a list was taken");

    if let Some(range) = range {
        assert!(range.first <= range.last);
        assert!(range.complete_length.is_none_or(|length| range.last < length));
        assert_eq!(range.end() - 1, range.last);
        let complete = range.complete_length.map_or("*".into(), |length| length.to_string());
        let plain = format!("bytes {}-{}/{complete}", range.first, range.last);
        assert_eq!(extract_content_range_values(&list([plain])), Some(range));
    }
    if let Some(length) = unsatisfied {
        let plain = format!("bytes */{length}");
        assert_eq!(extract_unsatisfied_length(&list([plain])), Some(length));
    }
});
