use serde::Deserialize;
use serde_json::{Value, json};

use super::parse;
use crate::{Error, PalmType};

/// The answer to a query: candidates, and the thresholds that the palm server would use.
///
/// Numbers are as they came. JSON cannot carry NaN or an infinity, but nothing here says that there
/// are four of them.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Matches {
    /// The candidates, in the palm server's order; none is a legal answer.
    pub results: Vec<Match>,
    /// One threshold a score.
    pub thresholds: Vec<f64>,
}

/// One candidate.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Match {
    /// The user as the palm server knows it.
    pub user_id: String,
    /// The palm server's number of the template.
    pub id: i64,
    /// The types that the template is open to.
    #[serde(default)]
    pub query_type: Option<String>,
    /// How alike sample and template are, by several measures; higher is more alike.
    pub scores: Vec<f64>,
}

pub(crate) fn metadata(palm_type: PalmType) -> Value {
    json!({"type": palm_type, "is_encrypted": false})
}

/// Success without `data` is how diagram 5.2 draws an answer without candidates.
pub(crate) fn answer(body: &[u8]) -> Result<Matches, Error> {
    Ok(parse(body)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{MalformedAnswer, Refusal};

    #[test]
    fn candidates_come_back_as_they_were_sent() {
        let body = br#"{"code": 0, "msg": "Success", "data": {"results": [
            {"user_id": "t:u", "id": 100001, "query_type": "left", "scores": [0.9, 0.8, 1, -0.5]}],
            "thresholds": [0.8, 0.8, 0.8, 0.8], "more": 1}}"#;
        let answer = answer(body).unwrap();
        assert_eq!(answer.thresholds, [0.8; 4]);
        assert_eq!(answer.results[0].scores, [0.9, 0.8, 1.0, -0.5]);
        assert_eq!(answer.results[0].user_id, "t:u");
    }

    #[test]
    fn no_candidates_is_an_answer() {
        for body in [
            r#"{"code": 0, "msg": "Success", "data": {"results": [], "thresholds": []}}"#,
            r#"{"code": 0, "data": null}"#,
            r#"{"code": 0}"#,
        ] {
            assert_eq!(
                answer(body.as_bytes()).unwrap(),
                Matches::default(),
                "{body}"
            );
        }
    }

    #[test]
    fn a_refusal_needs_no_sensible_data() {
        let body = br#"{"code": 30008, "msg": 7, "data": "?"}"#;
        assert!(matches!(
            answer(body),
            Err(Error::Refused(Refusal::QueryTypeForbidden))
        ));
    }

    #[test]
    fn another_shape_is_malformed() {
        for body in [
            "",
            "<html>",
            "{}",
            "[]",
            r#"{"code": "0"}"#,
            r#"{"code": 0.5}"#,
            r#"{"code": 0, "data": {}}"#,
            r#"{"code": 0, "data": {"results": [], "thresholds": [NaN]}}"#,
            r#"{"code": 0, "data": {"results": [], "thresholds": [1e999]}}"#,
            r#"{"code": 0, "data": {"results": [{}], "thresholds": []}}"#,
            r#"{"code": 0, "data": {"results": [], "thresholds": []}} trailing"#,
        ] {
            assert!(
                matches!(
                    answer(body.as_bytes()),
                    Err(Error::Malformed(MalformedAnswer::Json { .. }))
                ),
                "{body}"
            );
        }
    }

    #[test]
    fn a_deep_answer_does_not_exhaust_the_stack() {
        let body = format!(r#"{{"code": 0, "data": {}"#, "[".repeat(100_000));
        assert!(matches!(answer(body.as_bytes()), Err(Error::Malformed(_))));
    }

    fn numbers() -> impl Strategy<Value = Vec<f64>> {
        let finite = proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL;
        prop::collection::vec(finite, 0..6)
    }

    proptest! {
        #[test]
        fn numbers_are_read_to_the_last_bit(scores in numbers(), thresholds in numbers()) {
            let body = json!({"code": 0, "data": {
                "results": [{"user_id": "t:u", "id": 1, "scores": scores}],
                "thresholds": thresholds,
            }});
            let answer = answer(body.to_string().as_bytes()).unwrap();
            prop_assert_eq!(&answer.results[0].scores, &scores);
            prop_assert_eq!(&answer.thresholds, &thresholds);
        }

        #[test]
        fn bytes_of_any_kind_are_read_or_malformed(
            start in prop_oneof![Just(""), Just(r#"{"code": 0, "data": {"results": ["#)],
            rest in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let body = [start.as_bytes(), &rest].concat();
            let malformed = matches!(answer(&body), Err(Error::Malformed(_)));
            prop_assert!(malformed);
        }
    }
}
