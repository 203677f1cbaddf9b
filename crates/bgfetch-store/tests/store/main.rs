//! The SQLite store from the outside: what it stores, and what survives each kind of end.

#[cfg(test)]
mod bodies;
#[cfg(test)]
#[cfg(all(feature = "recording", unix))]
mod crash_points;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod metadata;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod oracle;
#[cfg(test)]
#[cfg(unix)]
mod other_users;
#[cfg(test)]
#[cfg(all(feature = "recording", unix))]
mod power;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod recovery;
