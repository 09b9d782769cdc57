//! Names as Rust and as JSON want them.

pub(super) fn identifier(name: &str) -> String {
    match name {
        "type" | "match" | "ref" | "use" | "where" => format!("r#{name}"),
        _ => name.to_owned(),
    }
}

pub(super) fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let after_small = index > 0 && !letters[index - 1].is_uppercase();
        let before_small = index > 0 && letters.get(index + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && (after_small || before_small) && !out.is_empty() {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

pub(super) fn camel(name: &str) -> String {
    let mut out = String::new();
    for (index, word) in name.split('_').enumerate() {
        if index == 0 {
            out.push_str(word);
        } else {
            out.extend(word.chars().take(1).flat_map(char::to_uppercase));
            out.push_str(word.get(1..).unwrap_or_default());
        }
    }
    out
}
