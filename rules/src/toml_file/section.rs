use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Findings, bytes_from_text, bytes_text, nearest, quoted};

/// One table of the file while its keys are being asked for.
pub(crate) struct Section<'d> {
    table: &'d DeTable<'d>,
    /// `plugins.faq.limits`; empty for the root.
    path: String,
    offset: usize,
    asked: Vec<&'static str>,
    forbidden: Vec<&'static str>,
    suggested: Vec<&'static str>,
}

/// A key that stands in a section, with its value.
pub(crate) struct Field<'d> {
    pub(crate) key: &'d str,
    pub(crate) offset: usize,
    pub(crate) value: &'d Spanned<DeValue<'d>>,
    path: String,
}

impl<'d> Section<'d> {
    pub(crate) fn root(table: &'d DeTable<'d>) -> Self {
        Self {
            table,
            path: String::new(),
            offset: 0,
            asked: Vec::new(),
            forbidden: Vec::new(),
            suggested: Vec::new(),
        }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Where the table's header stands.
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    /// Every key in the order of the document. The parser sorts by name.
    pub(crate) fn fields(&self) -> Vec<Field<'d>> {
        let mut fields: Vec<_> = self
            .table
            .iter()
            .map(|(key, value)| self.field_of(key, value))
            .collect();
        fields.sort_by_key(|field| field.offset);
        fields
    }

    /// The value of a key. Asking makes the key a known one.
    pub(crate) fn field(&mut self, key: &'static str) -> Option<Field<'d>> {
        self.asked.push(key);
        let (key, value) = self.table.get_key_value(key)?;
        Some(self.field_of(key, value))
    }

    /// The value of a key that has no business here; whoever asks reports it. It is never suggested.
    pub(crate) fn forbidden(&mut self, key: &'static str) -> Option<Field<'d>> {
        self.forbidden.push(key);
        let (key, value) = self.table.get_key_value(key)?;
        Some(self.field_of(key, value))
    }

    /// A dotted name that somebody may mean who writes an unknown key here.
    pub(crate) fn suggest(&mut self, name: &'static str) {
        self.suggested.push(name);
    }

    fn field_of(
        &self,
        key: &'d Spanned<std::borrow::Cow<'d, str>>,
        value: &'d Spanned<DeValue<'d>>,
    ) -> Field<'d> {
        Field {
            key: key.get_ref(),
            offset: key.span().start,
            value,
            path: self.path.clone(),
        }
    }

    pub(crate) fn table(
        &mut self,
        key: &'static str,
        findings: &mut Findings<'_>,
    ) -> Option<Section<'d>> {
        self.field(key)?.table(findings)
    }

    pub(crate) fn boolean(
        &mut self,
        key: &'static str,
        findings: &mut Findings<'_>,
    ) -> Option<bool> {
        let field = self.field(key)?;
        let value = field.value.get_ref().as_bool();
        if value.is_none() {
            field.wrong_type(findings, &format!("write {key} = true or {key} = false"));
        }
        value
    }

    pub(crate) fn integer(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        findings: &mut Findings<'_>,
    ) -> Option<u64> {
        self.field(key)?.integer(range, findings)
    }

    pub(crate) fn bytes(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        findings: &mut Findings<'_>,
    ) -> Option<u64> {
        self.field(key)?.bytes(range, findings)
    }

    /// Reports every key that nobody asked for, with the known key that is nearest to it.
    pub(crate) fn finish(self, findings: &mut Findings<'_>) {
        for field in self.fields() {
            if self.asked.contains(&field.key) || self.forbidden.contains(&field.key) {
                continue;
            }
            if findings.is_full() {
                findings.add(field.offset, "", "");
                continue;
            }
            let known = self.asked.iter().chain(&self.suggested).copied();
            let remedy = match nearest(field.key, known) {
                Some(known) => format!("did you mean {known}?"),
                None if self.asked.is_empty() => "remove it, this table takes no keys".to_owned(),
                None => format!("remove it; known keys: {}", self.asked.join(", ")),
            };
            findings.add(
                field.offset,
                format!("unknown key {}{}", quoted(field.key), field.place()),
                remedy,
            );
        }
    }
}

impl<'d> Field<'d> {
    /// ` in [plugins.faq]`, or nothing at the root of the file.
    fn place(&self) -> String {
        if self.path.is_empty() {
            String::new()
        } else {
            format!(" in [{}]", self.path)
        }
    }

    /// `parallel in [plugins.faq]`
    pub(crate) fn name(&self) -> String {
        format!("{}{}", self.key, self.place())
    }

    /// Reports that the value has another type than it should have.
    pub(crate) fn wrong_type(&self, findings: &mut Findings<'_>, remedy: &str) {
        let message = format!("{} is {}", self.name(), type_words(self.value.get_ref()));
        findings.add(self.offset, message, remedy);
    }

    pub(crate) fn table(&self, findings: &mut Findings<'_>) -> Option<Section<'d>> {
        let dot = if self.path.is_empty() { "" } else { "." };
        let path = format!("{}{dot}{}", self.path, self.key);
        let Some(table) = self.value.get_ref().as_table() else {
            self.wrong_type(findings, &format!("write it as a table: [{path}]"));
            return None;
        };
        Some(Section {
            table,
            path,
            offset: self.offset,
            asked: Vec::new(),
            forbidden: Vec::new(),
            suggested: Vec::new(),
        })
    }

    pub(crate) fn string(&self, findings: &mut Findings<'_>) -> Option<&'d str> {
        let value = self.value.get_ref().as_str();
        if value.is_none() {
            self.wrong_type(
                findings,
                &format!("write it in quotes: {} = \"…\"", self.key),
            );
        }
        value
    }

    pub(crate) fn integer(
        &self,
        range: RangeInclusive<u64>,
        findings: &mut Findings<'_>,
    ) -> Option<u64> {
        let (min, max) = (range.start(), range.end());
        let remedy = format!("give an integer from {min} to {max}");
        let Some(integer) = self.value.get_ref().as_integer() else {
            self.wrong_type(findings, &remedy);
            return None;
        };
        let value = u64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .filter(|value| range.contains(value));
        if value.is_none() {
            findings.add(
                self.offset,
                format!(
                    "{} is {}",
                    self.name(),
                    quoted(&integer.to_string()).trim_matches('"')
                ),
                remedy,
            );
        }
        value
    }

    /// A size in bytes, as an integer or as text with a unit.
    pub(crate) fn bytes(
        &self,
        range: RangeInclusive<u64>,
        findings: &mut Findings<'_>,
    ) -> Option<u64> {
        let Some(text) = self.value.get_ref().as_str() else {
            if self.value.get_ref().is_integer() {
                return self.integer(range, findings);
            }
            self.wrong_type(findings, &bytes_remedy(&range));
            return None;
        };
        let value = bytes_from_text(text).filter(|value| range.contains(value));
        if value.is_none() {
            findings.add(
                self.offset,
                format!("{} is {}", self.name(), quoted(text)),
                bytes_remedy(&range),
            );
        }
        value
    }

    /// A list of texts, each with its place. An empty list is a problem: leaving the key out is the way
    /// to say "all", and nothing means nothing.
    pub(crate) fn strings(
        &self,
        items_max: usize,
        findings: &mut Findings<'_>,
    ) -> Option<Vec<(&'d str, usize)>> {
        let remedy = format!("write a list of texts: {} = [\"…\"]", self.key);
        let Some(array) = self.value.get_ref().as_array() else {
            self.wrong_type(findings, &remedy);
            return None;
        };
        if array.is_empty() {
            findings.add(
                self.offset,
                format!("{} is an empty list", self.name()),
                "name at least one, or remove the key",
            );
            return None;
        }
        if array.len() > items_max {
            let message = format!("{} has {} items", self.name(), array.len());
            findings.add(self.offset, message, format!("give at most {items_max}"));
            return None;
        }
        let mut texts: Vec<(&str, usize)> = Vec::with_capacity(array.len());
        for item in array.iter() {
            let offset = item.span().start;
            match item.get_ref().as_str() {
                None => {
                    let message = format!(
                        "an item of {} is {}",
                        self.name(),
                        type_words(item.get_ref())
                    );
                    findings.add(offset, message, remedy.clone());
                }
                Some(text) if texts.iter().any(|(other, _)| *other == text) => {
                    findings.add(
                        offset,
                        format!("{} names {} twice", self.name(), quoted(text)),
                        "name it once",
                    );
                }
                Some(text) => texts.push((text, offset)),
            }
        }
        Some(texts)
    }
}

fn bytes_remedy(range: &RangeInclusive<u64>) -> String {
    format!(
        "give bytes from {} to {}, as an integer or with KiB, MiB or GiB",
        bytes_text(*range.start()),
        bytes_text(*range.end())
    )
}

/// The type of a value in words: `a string`, `an integer`.
pub(crate) fn type_words(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
