//! HTTP as bytes on a socket, and the text format of Prometheus.

use anyhow::{Context, bail, ensure};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

/// How long an answer may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// 200, for instance.
    pub status: u16,
    /// The lines before the body.
    pub head: String,
    /// What follows them.
    pub body: String,
}

/// An address of the loopback interface that is free now.
pub fn free_address() -> crate::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Sends bytes and reads until the other side closes; `None` if it has said nothing.
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> crate::Result<Option<Answer>> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    // It may be closed before all has been sent; what was answered until then counts.
    let _ = socket.write_all(bytes);
    let mut said = Vec::new();
    match socket.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => return Err(error.into()),
    }
    if said.is_empty() {
        return Ok(None);
    }
    let said = String::from_utf8(said)?;
    let (head, body) = said.split_once("\r\n\r\n").context("a head and a body")?;
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    Ok(Some(Answer {
        status: status.context("a status line")?.parse()?,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }))
}

/// The answer to a GET.
pub fn get(address: SocketAddr, path: &str) -> crate::Result<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    exchange(address, request.as_bytes())?.with_context(|| format!("no answer to {path}"))
}

/// The JSON at `path`.
pub fn get_json(address: SocketAddr, path: &str) -> crate::Result<serde_json::Value> {
    let answer = get(address, path)?;
    ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.body);
    Ok(serde_json::from_str(&answer.body)?)
}

/// The figures of a text in Prometheus' format, each under its name and sorted labels.
pub type Figures = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// Reads the text format of Prometheus, version 0.0.4, as strictly as its specification is: names, types and help before
/// the figures of a family, families in one piece, labels escaped, no figure twice, each line ended.
pub fn parse_metrics(text: &str) -> crate::Result<Figures> {
    ensure!(text.ends_with('\n'), "the last line is not ended");
    let mut figures = Figures::new();
    let (mut helped, mut typed) = (BTreeSet::new(), BTreeSet::new());
    let mut family = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').context("a help text")?;
            ensure!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').context("a type")?;
            ensure!(["counter", "gauge"].contains(&kind), "{line}");
            ensure!(helped.contains(name) && typed.insert(name.to_owned()), "{line}");
            ensure!((kind == "counter") == name.ends_with("_total"), "{line}");
            family = name.to_owned();
            continue;
        }
        let (name, labels, value) = parse_sample(line).with_context(|| line.to_owned())?;
        ensure!(name == family, "{line}: among the figures of {family}");
        ensure!(figures.insert((name, labels), value).is_none(), "{line}: twice");
    }
    Ok(figures)
}

type Sample = (String, BTreeMap<String, String>, f64);

fn parse_sample(line: &str) -> crate::Result<Sample> {
    let end = line.find(['{', ' ']).context("a name")?;
    let (name, mut rest) = line.split_at(end);
    ensure!(is_name(name), "{name} is no name");
    let mut labels = BTreeMap::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        while !inside.starts_with('}') {
            let (label, after) = inside.split_once("=\"").context("a label")?;
            ensure!(is_name(label), "{label} is no name");
            let (value, after) = parse_value(after)?;
            ensure!(
                labels.insert(label.to_owned(), value).is_none(),
                "{label} is there twice"
            );
            inside = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &inside[1..];
    }
    let value = rest.strip_prefix(' ').context("a value")?;
    Ok((name.to_owned(), labels, value.parse()?))
}

/// The value of a label up to its closing quote, and what follows that.
fn parse_value(text: &str) -> crate::Result<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match letters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                other => bail!("{other:?} is not to be escaped"),
            },
            letter => value.push(letter),
        }
    }
    bail!("a label without end")
}

fn is_name(name: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphabetic() || letter == '_';
    name.starts_with(is_letter) && name.chars().all(|letter| is_letter(letter) || letter.is_ascii_digit())
}
