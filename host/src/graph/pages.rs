//! Lists that Meta hands out page by page, each with a cursor to the next.

use serde_json::Value;

/// How far a list has been read.
pub(super) struct Pages {
    pages_max: usize,
    read: usize,
    after: Option<String>,
    has_ended: bool,
}

impl Pages {
    pub(super) fn at_most(pages_max: usize) -> Pages {
        Pages {
            pages_max,
            read: 0,
            after: None,
            has_ended: false,
        }
    }

    /// Whether another page is to be asked for.
    pub(super) fn go_on(&self) -> bool {
        !self.has_ended && self.read < self.pages_max
    }

    /// The query of the next page.
    pub(super) fn query<'a>(&'a self, fields: &'a str, limit: &'a str) -> Vec<(&'a str, &'a str)> {
        let mut query = vec![("fields", fields), ("limit", limit)];
        query.extend(self.after.as_deref().map(|after| ("after", after)));
        query
    }

    /// What stands on a page. The last one may have a cursor, too, but no address of a next one.
    ///
    /// # Errors
    /// Why it is no page.
    pub(super) fn turn<'p>(&mut self, page: &'p Value) -> Result<&'p [Value], String> {
        let data = page.get("data").and_then(Value::as_array);
        let data = data.ok_or("an answer without data")?;
        self.read += 1;
        let cursor = page
            .pointer("/paging/cursors/after")
            .and_then(Value::as_str);
        self.after = cursor
            .filter(|_| page.pointer("/paging/next").is_some_and(Value::is_string))
            .map(str::to_owned);
        self.has_ended = self.after.is_none();
        Ok(data)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// # Errors
    /// That the list has more pages than are read.
    pub(super) fn whole(&self) -> Result<(), String> {
        match self.has_ended {
            true => Ok(()),
            false => Err(format!("the list has more than {} pages", self.pages_max)),
        }
    }
}
