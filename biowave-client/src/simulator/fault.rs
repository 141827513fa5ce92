use std::time::Duration;

use serde_json::{Value, json};

/// What is to go wrong with one call.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The call is not carried out; the answer has this `code`.
    Code(i64),
    /// The call is not carried out; the answer is this.
    Answer {
        /// The HTTP status, 200 to 599.
        status: u16,
        /// The body, whatever it is.
        body: String,
    },
    /// The candidates get these scores, of any number.
    Scores(Vec<f64>),
    /// The answer has these thresholds, of any number.
    Thresholds(Vec<f64>),
    /// The answer is about this user.
    User(String),
    /// The answer comes this much later.
    Late(Duration),
    /// The call is carried out, and answered, this much later, also when its caller left meanwhile.
    Slow(Duration),
    /// No answer comes.
    Silence {
        /// Whether the call is carried out.
        carried_out: bool,
    },
    /// The connection is closed without an answer.
    Close {
        /// Whether the call is carried out.
        carried_out: bool,
    },
    /// The call is carried out, and the connection closed in the middle of the answer.
    CutAnswer,
}

impl Fault {
    /// Whether the palm server carries the call out all the same, at once.
    pub(super) const fn carries_out(&self) -> bool {
        match self {
            Self::Code(_) | Self::Answer { .. } | Self::Slow(_) => false,
            Self::Silence { carried_out } | Self::Close { carried_out } => *carried_out,
            Self::Scores(_)
            | Self::Thresholds(_)
            | Self::User(_)
            | Self::Late(_)
            | Self::CutAnswer => true,
        }
    }

    /// Falsifies the numbers and names of an answer, where the fault is one of these.
    pub(super) fn falsify(&self, answer: &mut Value) {
        match self {
            Self::Scores(scores) => set_in_results(answer, "scores", &json!(scores)),
            Self::User(user) => {
                set_in_results(answer, "user_id", &json!(user));
                set(answer.pointer_mut("/data"), "user_id", &json!(user));
            }
            Self::Thresholds(thresholds) => {
                set(
                    answer.pointer_mut("/data"),
                    "thresholds",
                    &json!(thresholds),
                );
            }
            Self::Code(_)
            | Self::Answer { .. }
            | Self::Late(_)
            | Self::Slow(_)
            | Self::Silence { .. }
            | Self::Close { .. }
            | Self::CutAnswer => {}
        }
    }
}

fn set_in_results(answer: &mut Value, member: &str, value: &Value) {
    let results = answer
        .pointer_mut("/data/results")
        .and_then(Value::as_array_mut);
    for result in results.into_iter().flatten() {
        set(Some(result), member, value);
    }
}

/// Replaces a member that is there.
fn set(object: Option<&mut Value>, member: &str, value: &Value) {
    if let Some(old) = object.and_then(|object| object.get_mut(member)) {
        *old = value.clone();
    }
}
