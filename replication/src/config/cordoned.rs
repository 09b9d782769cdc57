//! `cordoned.log.dirs` (KIP-1066): log directories that get no new logs.

use super::InvalidValue;

/// The key.
pub const CORDONED_LOG_DIRS: &str = "cordoned.log.dirs";

/// Which of `log_dirs` are cordoned by a value of the key: those it names, or all with `*`.
///
/// # Errors
/// It names a directory that is none of them, or `*` beside others.
pub fn cordoned_log_dirs<'a>(value: &str, log_dirs: &'a [String]) -> Result<Vec<&'a String>, InvalidValue> {
    let named: Vec<&str> = value.split(',').map(str::trim).filter(|dir| !dir.is_empty()).collect();
    if named == ["*"] {
        return Ok(log_dirs.iter().collect());
    }
    if let Some(unknown) = named.iter().find(|dir| !log_dirs.iter().any(|known| known == *dir)) {
        let known = log_dirs.join(", ");
        return Err(InvalidValue(format!(
            "Invalid value {value} for configuration {CORDONED_LOG_DIRS}: {unknown} is not one of the log directories \
             ({known}); * alone stands for all of them"
        )));
    }
    Ok(log_dirs.iter().filter(|dir| named.contains(&dir.as_str())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cordoned(value: &str) -> Result<Vec<String>, InvalidValue> {
        let dirs = ["/a".to_owned(), "/b".to_owned()];
        cordoned_log_dirs(value, &dirs).map(|dirs| dirs.into_iter().cloned().collect())
    }

    #[test]
    fn directories_are_named_or_all_of_them() {
        assert_eq!(cordoned(""), Ok(vec![]));
        assert_eq!(cordoned(" /b "), Ok(vec!["/b".to_owned()]));
        assert_eq!(cordoned("*"), cordoned("/a,/b"));
    }

    #[test]
    fn what_is_none_of_them_is_refused() {
        for wrong in ["/c", "/a,/c", "*,/a", "/a/"] {
            assert!(cordoned(wrong).is_err(), "{wrong}");
        }
    }
}
