use serde_json::{Value, json};

use super::picture::Picture;
use crate::{PalmType, PalmTypes, Refusal};

/// Each of the four thresholds that the simulator answers with.
pub const THRESHOLD: f64 = 0.8;

/// A template whose mean score is below this is no candidate at all.
const CANDIDATE: f64 = 0.4;

/// The number of the first template, as in diagram 5.3.
const FIRST_ID: i64 = 100_001;

/// Both pictures of a capture.
#[derive(Debug, Clone)]
pub(super) struct Palm {
    pub(super) rgb: Picture,
    pub(super) ir: Picture,
}

impl Palm {
    fn scores(&self, other: &Self) -> [f64; 4] {
        let [rgb_upper, rgb_lower] = self.rgb.compare(&other.rgb);
        let [ir_upper, ir_lower] = self.ir.compare(&other.ir);
        [rgb_upper, rgb_lower, ir_upper, ir_lower]
    }
}

/// Who a template is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learnt {
    /// The user, as the palm server knows them.
    pub user_id: String,
    /// Which palm.
    pub palm_type: PalmType,
    /// The template's number.
    pub id: i64,
}

#[derive(Debug)]
struct Template {
    id: i64,
    user_id: String,
    palm_type: PalmType,
    query_type: PalmTypes,
    palm: Palm,
}

/// What the palm server has learnt.
#[derive(Debug)]
pub(super) struct Templates {
    templates: Vec<Template>,
    next_id: i64,
    capacity: usize,
    /// Whether one palm may be learnt for several users.
    duplicates: bool,
}

impl Templates {
    pub(super) const fn new() -> Self {
        Self {
            templates: Vec::new(),
            next_id: FIRST_ID,
            capacity: usize::MAX,
            duplicates: false,
        }
    }

    pub(super) const fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    pub(super) const fn take_duplicates(&mut self) {
        self.duplicates = true;
    }

    pub(super) const fn len(&self) -> usize {
        self.templates.len()
    }

    /// Who the templates are of, the oldest first.
    pub(super) fn learnt(&self) -> Vec<Learnt> {
        let learnt = |template: &Template| Learnt {
            user_id: template.user_id.clone(),
            palm_type: template.palm_type,
            id: template.id,
        };
        self.templates.iter().map(learnt).collect()
    }

    /// Opens a user's templates to queries of `query_type` only.
    pub(super) fn restrict(&mut self, user_id: &str, query_type: PalmTypes) {
        for template in &mut self.templates {
            if template.user_id == user_id {
                template.query_type = query_type;
            }
        }
    }

    /// The candidates among the templates of a type, the best first, as `data` of the answer.
    pub(super) fn query(&self, palm: &Palm, palm_type: PalmType) -> Result<Value, Refusal> {
        let mut candidates: Vec<(&Template, [f64; 4])> = self
            .templates
            .iter()
            .filter(|template| template.palm_type == palm_type)
            .map(|template| (template, template.palm.scores(palm)))
            .filter(|(_, scores)| mean(scores) >= CANDIDATE)
            .collect();
        candidates.sort_by(|(_, a), (_, b)| mean(b).total_cmp(&mean(a)));
        if let Some((best, scores)) = candidates.first()
            && passes(scores)
            && !best.query_type.include(palm_type)
        {
            return Err(Refusal::QueryTypeForbidden);
        }
        let results: Vec<Value> = candidates
            .iter()
            .map(|(template, scores)| {
                json!({
                    "user_id": template.user_id,
                    "id": template.id,
                    "query_type": template.query_type,
                    "scores": scores,
                })
            })
            .collect();
        let thresholds = [THRESHOLD; 4];
        Ok(json!({"results": results, "thresholds": thresholds}))
    }

    pub(super) fn add(
        &mut self,
        palm: Palm,
        user_id: &str,
        palm_type: PalmType,
        query_type: Option<PalmTypes>,
    ) -> Result<Value, Refusal> {
        let same_type = || {
            self.templates
                .iter()
                .filter(|template| template.palm_type == palm_type)
        };
        if same_type().any(|template| template.user_id == user_id) {
            return Err(Refusal::NameDuplicated);
        }
        if !self.duplicates && same_type().any(|template| passes(&template.palm.scores(&palm))) {
            return Err(Refusal::AlreadyRegistered);
        }
        if self.templates.len() >= self.capacity {
            return Err(Refusal::InsertFailed);
        }
        let id = self.next_id;
        self.next_id = id.saturating_add(1);
        let query_type = query_type.unwrap_or(palm_type.into());
        self.templates.push(Template {
            id,
            user_id: user_id.to_owned(),
            palm_type,
            query_type,
            palm,
        });
        Ok(json!({"user_id": user_id, "id": id, "query_type": query_type}))
    }

    pub(super) fn delete(&mut self, user_id: &str, palms: PalmTypes) -> Value {
        let before = self.templates.len();
        self.templates
            .retain(|template| template.user_id != user_id || !palms.include(template.palm_type));
        json!({"deleted": before - self.templates.len()})
    }
}

fn mean(scores: &[f64; 4]) -> f64 {
    scores.iter().sum::<f64>() / 4.0
}

fn passes(scores: &[f64; 4]) -> bool {
    scores.iter().all(|score| *score >= THRESHOLD)
}
