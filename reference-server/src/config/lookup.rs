use std::ffi::OsString;
use std::str::FromStr;

/// A variable whose value does not do. It never repeats the value, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} must be {rule}")]
pub struct ConfigError {
    variable: &'static str,
    rule: String,
}

impl ConfigError {
    /// `variable` is not what `rule` says.
    pub(crate) fn new(variable: &'static str, rule: impl Into<String>) -> Self {
        Self {
            variable,
            rule: rule.into(),
        }
    }
}

type Lookup<'a> = dyn Fn(&'static str) -> Option<OsString> + 'a;

/// The environment, as this module reads it.
pub(super) struct Variables<'a>(&'a Lookup<'a>);

impl<'a> Variables<'a> {
    pub(super) fn new(lookup: &'a Lookup<'a>) -> Self {
        Self(lookup)
    }

    /// The value as text; `None` when it is not set, or set to nothing.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        let value = self.0(name).map(OsString::into_string);
        let value = value
            .transpose()
            .map_err(|_| ConfigError::new(name, "UTF-8"))?;
        Ok(value.filter(|value| !value.is_empty()))
    }

    pub(super) fn parsed<T: FromStr>(
        &self,
        name: &'static str,
        rule: &str,
    ) -> Result<Option<T>, ConfigError> {
        let parse = |text: String| text.parse().map_err(|_| ConfigError::new(name, rule));
        self.text(name)?.map(parse).transpose()
    }

    pub(super) fn choice<T: Copy>(
        &self,
        name: &'static str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let chosen = choices.iter().find(|(word, _)| *word == text);
        chosen.map(|(_, value)| Some(*value)).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            ConfigError::new(name, words.join(" or "))
        })
    }
}
