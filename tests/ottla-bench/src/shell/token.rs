//! OAUTHBEARER tokens from a command of the user's, as Amazon's IAM for MSK and others need them: librdkafka asks the program
//! that it is a part of. A client of ours lives as long as a measurement does and gets one token, when it is made.

use anyhow::{Context, bail, ensure};
use rdkafka::{
    ClientContext,
    bindings::{rd_kafka_oauthbearer_set_token, rd_kafka_resp_err_t as Code},
    client::Client,
};
use std::{
    ffi::{CStr, CString, c_char},
    process::Command,
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The key in the file of properties; it is ours and not librdkafka's.
pub const COMMAND: &str = "ottla.bench.token.command";
/// How long a token is good if its command does not say: the shortest of the usual ones.
const LIFETIME: Duration = Duration::from_secs(300);
/// How much of its life a token has to have left for a new client.
const SPARE: Duration = Duration::from_secs(120);

/// Where tokens come from; the last one is given again while it is good for long enough.
#[derive(Debug)]
pub struct Tokens {
    command: String,
    last: Mutex<Option<Token>>,
}

#[derive(Clone, PartialEq, Eq)]
struct Token {
    value: String,
    /// Milliseconds since 1970.
    expires_ms: i64,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Token until {}", self.expires_ms)
    }
}

impl Tokens {
    /// From this command line, for `sh -c`.
    pub fn of(command: String) -> Self {
        Self {
            command,
            last: Mutex::new(None),
        }
    }

    /// Gives a client its token.
    ///
    /// # Errors
    /// The command fails or prints no token, or librdkafka does not take it.
    pub fn give<C: ClientContext>(&self, client: &Client<C>) -> anyhow::Result<()> {
        let token = self.good()?;
        let value = CString::new(token.value)?;
        let mut said = [0 as c_char; 512];
        // SAFETY: the client lives, the strings end with a zero and outlive the call, `said` is as long as is told,
        // and no extensions are given.
        #[allow(unsafe_code)]
        let (code, reason) = unsafe {
            let code = rd_kafka_oauthbearer_set_token(
                client.native_ptr(),
                value.as_ptr(),
                token.expires_ms,
                c"ottla-bench".as_ptr(),
                std::ptr::null_mut(),
                0,
                said.as_mut_ptr(),
                said.len(),
            );
            (code, CStr::from_ptr(said.as_ptr()))
        };
        ensure!(
            code == Code::RD_KAFKA_RESP_ERR_NO_ERROR,
            "the token is not taken: {}",
            reason.to_string_lossy()
        );
        Ok(())
    }

    fn good(&self) -> anyhow::Result<Token> {
        let mut last = self.last.lock().expect("nobody panics with it");
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        if let Some(token) = last.as_ref()
            && token.expires_ms > millis(now + SPARE)
        {
            return Ok(token.clone());
        }
        let output = Command::new("sh").args(["-c", &self.command]).output()?;
        if !output.status.success() {
            bail!(
                "{COMMAND} ended with {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let token = parse(&String::from_utf8(output.stdout)?, now)?;
        Ok(last.insert(token).clone())
    }
}

/// The first line is the token, the second, if there is one, when it expires, in milliseconds since 1970.
fn parse(printed: &str, now: Duration) -> anyhow::Result<Token> {
    let mut lines = printed.lines().map(str::trim).filter(|line| !line.is_empty());
    let value = lines
        .next()
        .with_context(|| format!("{COMMAND} prints no token"))?
        .to_owned();
    let expires_ms = match lines.next() {
        Some(line) => line
            .parse()
            .with_context(|| format!("{COMMAND} prints `{line}` for the milliseconds since 1970"))?,
        None => millis(now + LIFETIME),
    };
    Ok(Token { value, expires_ms })
}

fn millis(since: Duration) -> i64 {
    since.as_millis() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000_000);

    #[test]
    fn a_token_is_a_line_and_its_end_another() {
        let token = parse("abc.def\n1000300000\n", NOW).expect("both");
        assert_eq!((token.value.as_str(), token.expires_ms), ("abc.def", 1_000_300_000));
        assert_eq!(parse("\nabc\n", NOW).expect("a token").expires_ms, 1_000_300_000);
        assert!(parse("\n", NOW).is_err());
        assert!(parse("abc\nsoon\n", NOW).is_err());
    }

    #[test]
    fn a_command_that_fails_is_told_and_a_good_token_is_used_again() {
        let error = Tokens::of("echo no key >&2; exit 3".into())
            .good()
            .expect_err("it fails")
            .to_string();
        assert!(error.contains("no key"), "{error}");
        let tokens = Tokens::of("echo $$; echo 99999999999999".into());
        assert_eq!(tokens.good().expect("a token"), tokens.good().expect("the same"));
        let short = Tokens::of("echo $$; echo 1".into());
        assert_ne!(short.good().expect("a token"), short.good().expect("another"));
    }

    #[test]
    fn a_token_does_not_show_in_what_is_printed() {
        assert!(!format!("{:?}", parse("secret", NOW)).contains("secret"));
    }
}
