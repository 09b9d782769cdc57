//! The proxy of the tests as a program, for clients in other languages.
//!
//!     proxy PORT BROKER     from this port of the loopback interface to the broker at host:port, until its input ends
//!
//! Each line that comes is a command, and each is answered with a line, `ok` if nothing else:
//!
//!     hold API            the next request of this API stops before it reaches the broker
//!     until-held N        waits until N requests have been held since the start
//!     release             lets go what is held
//!     answer N API        waits for the broker's answer to the Nth request that was held, and says its error

use anyhow::{Context, bail};
use ottla_protocol::{
    ApiKey, ErrorCode,
    messages::{EndTxnRequest, ProduceRequest},
};
use ottla_tests::{
    Result,
    client::{code, first_code},
    proxy::{Fault, Proxy},
};
use std::{env, io};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [port, broker] = arguments.as_slice() else {
        bail!("proxy PORT BROKER");
    };
    let proxy = Proxy::start_on(port.parse()?, broker.parse()?)?;
    println!("ok");
    for line in io::stdin().lines() {
        let words = line?;
        match obey(&proxy, &words.split(' ').collect::<Vec<_>>()) {
            Ok(said) => println!("{said}"),
            Err(error) => println!("{words}: {error:#}"),
        }
    }
    Ok(())
}

fn obey(proxy: &Proxy, words: &[&str]) -> Result<String> {
    match words {
        ["hold", api] => proxy.next(key(api)?, Fault::HoldRequest),
        ["until-held", count] => proxy.until_held(count.parse()?)?,
        ["release"] => proxy.release(),
        ["answer", number, api] => {
            let answer = proxy.answer(number.parse()?)?;
            let error = match key(api)? {
                ApiKey::EndTxn => code(answer.to::<EndTxnRequest>()?.error_code),
                _ => first_code(&answer.to::<ProduceRequest>()?)?,
            };
            return Ok(ErrorCode::name(error).to_owned());
        }
        _ => bail!("no such command"),
    }
    Ok("ok".to_owned())
}

fn key(api: &str) -> Result<ApiKey> {
    let known = [ApiKey::EndTxn, ApiKey::Produce];
    let found = known.into_iter().find(|key| key.name() == api);
    found.with_context(|| format!("{api} is not held"))
}
