//! The spec's chapter [Algorithms](https://wicg.github.io/background-fetch/#algorithms), one file
//! for each.

pub mod complete_a_record;
pub mod contains_background_fetch;
pub mod extract_content_range_values;
pub mod fire_a_background_fetch_click_event;
pub mod perform_a_background_fetch;
pub mod update_background_fetch_instances;
pub mod validate_a_partial_response;
