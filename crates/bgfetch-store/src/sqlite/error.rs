//! Conversion of SQLite's errors.

use std::io;
use std::path::PathBuf;

use rusqlite::{Error as Sql, ErrorCode};

use super::schema::DATABASE;
use crate::StoreError;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match &error {
            Sql::FromSqlConversionFailure(..)
            | Sql::IntegralValueOutOfRange(..)
            | Sql::InvalidColumnType(..)
            | Sql::Utf8Error(..) => return Self::damaged(&error),
            _ => {}
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::damaged(&error),
            Some(ErrorCode::DiskFull) => Self::DiskFull {
                path: PathBuf::from(DATABASE),
                source: io::ErrorKind::StorageFull.into(),
            },
            Some(ErrorCode::ConstraintViolation) => Self::Misuse(error.to_string()),
            _ => Self::Database(Box::new(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_s_codes_name_who_is_at_fault() {
        use rusqlite::ffi;

        let error =
            |code| StoreError::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        assert!(error(ffi::SQLITE_FULL).is_disk_full());
        assert!(error(ffi::SQLITE_CORRUPT).is_damaged());
        assert!(error(ffi::SQLITE_NOTADB).is_damaged());
        assert!(matches!(error(ffi::SQLITE_CONSTRAINT_FOREIGNKEY), StoreError::Misuse(_)));
        assert!(matches!(error(ffi::SQLITE_IOERR_READ), StoreError::Database(_)));
    }
}
