//! The query of a request: decoded, checked against what the route knows.

use std::str::FromStr;

use super::error::Fault;
use crate::payload::{NaiveTime, read_timestamp};
use crate::reading::UnixMillis;

/// A parameter that a route knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    /// One sentence for the OpenAPI document: meaning, default, bounds.
    pub(super) about: &'static str,
    pub(super) kind: Kind,
}

/// The shape of a parameter, for the OpenAPI document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// Texts: commas between them, and given as often as one likes.
    List,
    /// A whole number from the first to the second.
    Whole(u32, u32),
    /// Any number; the route says which.
    Number,
    /// One of these words.
    OneOf(&'static [&'static str]),
    Time,
    /// Present or not.
    Switch,
}

/// The decoded names of a query with their values, in order. Only a list has more than one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, Vec<String>)>);

impl Query {
    /// Decodes a query without lists, or an urlencoded form.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        Self::of(text, &[])
    }

    /// Decodes a query of a route that knows these. A name that is given twice is refused, unless
    /// it is a list's: whoever judges one and uses the other could be led astray. A list is taken
    /// apart before it is decoded: an escaped comma belongs to its text.
    pub(super) fn of(text: &str, known: &[Parameter]) -> Result<Self, Fault> {
        let mut pairs: Vec<(String, Vec<String>)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| {
                decode(&text.replace('+', " ")).ok_or_else(|| {
                    Fault::BadRequest(format!("the query has no valid UTF-8: {pair:?}"))
                })
            };
            let name = decode(name)?;
            let is_list = known.iter().any(|it| it.name == name && it.kind == Kind::List);
            let texts = if is_list { value.split(',').collect() } else { vec![value] };
            let values = texts.into_iter().map(decode).collect::<Result<Vec<_>, _>>()?;
            check_spaces(&name, &values)?;
            match pairs.iter_mut().find(|(other, _)| *other == name) {
                None => pairs.push((name, values)),
                Some((_, others)) if is_list => others.extend(values),
                Some(_) => {
                    return Err(Fault::BadRequest(format!("parameter `{name}` is given twice")));
                }
            }
        }
        Ok(Self(pairs))
    }

    /// Refuses parameters that the route does not know, and those without a value that need one: a
    /// shell variable that is not set would otherwise ask for everything.
    pub(super) fn check(&self, known: &[Parameter]) -> Result<(), Fault> {
        for (name, values) in &self.0 {
            let Some(parameter) = known.iter().find(|parameter| parameter.name == name) else {
                let known: Vec<&str> = known.iter().map(|parameter| parameter.name).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let said = format!("unknown parameter `{name}`; allowed: {known}");
                return Err(Fault::BadRequest(said));
            };
            if parameter.kind != Kind::Switch && **values == [""] {
                let said = format!("parameter `{name}` is empty; give it a value, or leave it out");
                return Err(Fault::BadRequest(said));
            }
        }
        Ok(())
    }

    /// The value of a parameter; an empty one is absent.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let (_, values) = self.0.iter().find(|(other, _)| other == name)?;
        values.first().map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The texts of a list; an empty one is absent.
    pub(super) fn list(&self, name: &str) -> Option<&[String]> {
        let (_, values) = self.0.iter().find(|(other, _)| other == name)?;
        (**values != [""]).then_some(values)
    }

    /// Whether a parameter is there, with or without a value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name)
    }

    /// A time as messages may carry one (design §6); `None` when it is absent.
    pub(super) fn time(
        &self,
        name: &str,
        naive_time: &NaiveTime,
    ) -> Result<Option<UnixMillis>, Fault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        read_timestamp(text, naive_time).map(Some).ok_or_else(|| {
            Fault::BadRequest(format!(
                "parameter `{name}` is {text:?}; allowed: a time as 2024-01-01T12:00:00Z, or \
                 seconds, milliseconds, microseconds or nanoseconds since 1970"
            ))
        })
    }

    /// One of some choices by its name; `None` when it is absent.
    pub(super) fn one_of<T: Copy>(
        &self,
        name: &str,
        choices: &[T],
        name_of: fn(T) -> &'static str,
    ) -> Result<Option<T>, Fault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let choice = choices.iter().find(|choice| name_of(**choice) == text);
        choice.copied().map(Some).ok_or_else(|| {
            let allowed: Vec<&str> = choices.iter().map(|choice| name_of(*choice)).collect();
            let allowed = allowed.join(", ");
            Fault::BadRequest(format!("parameter `{name}` is {text:?}; allowed: {allowed}"))
        })
    }

    /// A whole number within bounds; `None` when it is absent.
    pub(super) fn whole<T>(&self, name: &str, from: T, to: T) -> Result<Option<T>, Fault>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse::<T>() {
            Ok(number) if number >= from && number <= to => Ok(Some(number)),
            Ok(_) | Err(_) => Err(Fault::BadRequest(format!(
                "parameter `{name}` is {text:?}; allowed: a whole number from {from} to {to}"
            ))),
        }
    }
}

/// An id may begin with a space, but who writes one beside a comma hardly means that.
fn check_spaces(name: &str, values: &[String]) -> Result<(), Fault> {
    let has_space = |value: &&String| value.starts_with(' ') || value.ends_with(' ');
    match values.iter().find(has_space) {
        Some(value) if values.len() > 1 => Err(Fault::BadRequest(format!(
            "parameter `{name}` has {value:?} with a space beside a comma; allowed: a,b without \
             spaces. An id that begins or ends with one is given in a `{name}` of its own"
        ))),
        Some(_) | None => Ok(()),
    }
}

/// Undoes percent-encoding; `None` when what comes out is no UTF-8, or an escape is broken.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
            let code = digit(0)? * 16 + digit(1)?;
            bytes.push(u8::try_from(code).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_undone_once() {
        let check = |text, expected: Option<&str>| assert_eq!(decode(text).as_deref(), expected);
        check("a%2Fb", Some("a/b"));
        check("%C2%B0C", Some("°C"));
        check("%252F", Some("%2F"));
        check("a+b", Some("a+b"));
        check("%", None);
        check("%4", None);
        check("%zz", None);
        check("%+1", None);
        check("%FF", None);
    }

    #[test]
    fn queries_are_decoded_and_checked() {
        let query = Query::parse("q=a+b%26&limit=5&verbose&empty=").unwrap();
        assert_eq!(query.text("q"), Some("a b&"));
        assert_eq!(query.whole("limit", 1, 10).unwrap(), Some(5));
        assert!(query.has("verbose") && query.text("verbose").is_none());
        assert!(query.text("empty").is_none());
        let said = query.whole("limit", 6, 10).unwrap_err().to_string();
        assert_eq!(said, "parameter `limit` is \"5\"; allowed: a whole number from 6 to 10");
        let known = [Parameter { name: "q", about: "", kind: Kind::Text }];
        let said = query.check(&known).unwrap_err().to_string();
        assert_eq!(said, "unknown parameter `limit`; allowed: q");
        let check = |text, kind| {
            let known = [Parameter { name: "q", about: "", kind }];
            Query::of(text, &known).unwrap().check(&known).map_err(|fault| fault.to_string())
        };
        for kind in [Kind::Text, Kind::List, Kind::Whole(1, 2), Kind::Number, Kind::Time] {
            let said = "parameter `q` is empty; give it a value, or leave it out";
            assert_eq!(check("q=", kind), Err(said.to_owned()), "{kind:?}");
            assert_eq!(check("", kind), Ok(()), "{kind:?}");
        }
        assert_eq!((check("q=", Kind::Switch), check("q", Kind::Switch)), (Ok(()), Ok(())));
        assert!(Query::parse("a=1&a=2").is_err());
        assert!(Query::of("q=1&q=2", &known).is_err());
        assert!(Query::parse("a=%FF").is_err());
    }

    #[test]
    fn lists_are_taken_apart_before_they_are_decoded() {
        let known = [Parameter { name: "ids", about: "", kind: Kind::List }];
        let check = |text, expected: Option<&[&str]>| {
            let query = Query::of(text, &known).unwrap();
            let texts = query.list("ids").map(|all| all.iter().map(String::as_str).collect());
            assert_eq!(texts, expected.map(<[_]>::to_vec), "{text}");
        };
        check("ids=a,b", Some(&["a", "b"]));
        check("ids=a%2Cb", Some(&["a,b"]));
        check("ids=a%2Cb,c&x=1&ids=d+e", Some(&["a,b", "c", "d e"]));
        check("i%64s=a&ids=b", Some(&["a", "b"]));
        check("ids=a,,b", Some(&["a", "", "b"]));
        check("ids=a&ids=", Some(&["a", ""]));
        check("ids=", None);
        check("ids", None);
        check("", None);
        assert!(Query::of("ids=a,%FF", &known).is_err());
        assert!(Query::of("ids=a&x=1&x=2", &known).is_err());
    }

    #[test]
    fn spaces_belong_to_an_id_only_where_no_comma_stands_beside_them() {
        let known = [Parameter { name: "ids", about: "", kind: Kind::List }];
        for text in ["ids=a,+b", "ids=a,%20b", "ids=a+,b", "x=1&ids=a%20,b"] {
            let said = Query::of(text, &known).unwrap_err().to_string();
            assert!(said.contains("parameter `ids` has") && said.contains("space"), "{said}");
        }
        for text in ["ids=+a", "ids=a&ids=+b", "ids=a+b,c", "x=1,+2"] {
            assert!(Query::of(text, &known).is_ok(), "{text}");
        }
    }
}
