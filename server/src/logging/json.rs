//! Log lines as JSON: an object a line. Numbers are numbers, and what is a list of numbers by name is an
//! object.

use std::fmt::{self, Debug, Write};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes events so.
pub(super) struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        let metadata = event.metadata();
        writer.write_str(&object(metadata.level(), metadata.target(), &fields.0))
    }
}

/// A line that is no event.
pub(super) fn line(level: Level, message: &str, exit_code: Option<u8>) -> String {
    let mut fields = Fields(String::new());
    fields.add("message", &message.into());
    if let Some(code) = exit_code {
        fields.add("exit_code", &code.into());
    }
    object(&level, "handfast_server", &fields.0)
}

/// With `fields` written already.
fn object(level: &Level, target: &str, fields: &str) -> String {
    let mut time = String::new();
    // A clock that cannot be told leaves the time empty.
    SystemTime.format_time(&mut Writer::new(&mut time)).ok();
    let (time, level, target) = (Value::from(time), level.as_str(), Value::from(target));
    format!("{{\"timestamp\":{time},\"level\":\"{level}\",\"target\":{target}{fields}}}\n")
}

/// The fields of an event, each after a comma.
struct Fields(String);

impl Fields {
    fn add(&mut self, name: &str, value: &Value) {
        // Names of raw identifiers such as `r#type`.
        let name = Value::from(name.strip_prefix("r#").unwrap_or(name));
        write!(self.0, ",{name}:{value}").expect("a string takes any text");
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if STRUCTURED.contains(&field.name())
            && let Ok(value) = serde_json::from_str(&format!("{value:#?}"))
        {
            self.add(field.name(), &value);
        } else {
            self.add(field.name(), &format!("{value:?}").into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), &value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), &value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), &value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), &value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), &value.into());
    }
}

/// Fields that write themselves as JSON in the alternate form (`{:#}`): see `stats` and `refusals`.
const STRUCTURED: [&str; 2] = ["dropped", "callers"];
