//! How good the configuration data is, as JSON.

use itom::EngineHandle;
use itom::cmdb::health::Measure;
use itom_examples::names;
use serde_json::{Value, json};

/// Items named for each measure: as many as people read.
const LISTED: usize = 20;

pub(crate) fn quality(engine: &EngineHandle) -> Value {
    let (view, report) = (engine.view(), engine.health(LISTED));
    let measure = |title: &str, measure: &Measure| {
        let items: Vec<Value> = measure
            .items
            .iter()
            .map(|(id, problem)| {
                json!({
                    "id": id,
                    "name": names::name_of(&view, *id),
                    "kind": view.ci(*id).map(itom::cmdb::view::Ci::kind),
                    "problem": problem.to_string(),
                })
            })
            .collect();
        json!({
            "title": title, "good": measure.good, "of": measure.of, "share": measure.ratio(), "items": items,
        })
    };
    json!({
        "rules": engine.rule_set().map(|rules| format!("{} {}", rules.name, rules.version)),
        "measures": report.measures().map(|(title, own)| measure(title, own)),
        "misfits": engine.misfits().len(),
    })
}
