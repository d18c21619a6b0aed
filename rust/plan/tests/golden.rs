//! The plans of `tests/golden/plan`, which Python lowers from the configurations beside them, decode here.

use std::{fs, path::PathBuf};

use serde_json::Value;
use tidegate_plan::{Action, Plan};

fn golden() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/plan");
    let mut found: Vec<(String, String)> = fs::read_dir(&folder)
        .expect("the folder is part of the repository")
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "json"))
        .map(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("a plan can be read"))
        })
        .collect();
    found.sort();
    assert!(found.len() >= 25, "{} plans in {}", found.len(), folder.display());
    found
}

fn plan_of(name: &str) -> Plan {
    let (_, text) = golden().into_iter().find(|(known, _)| known == name).expect("the plan is there");
    Plan::decode(text.as_bytes()).expect("a golden plan decodes")
}

#[test]
fn every_golden_plan_decodes() {
    for (name, text) in golden() {
        if let Err(error) = Plan::decode(text.as_bytes()) {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn what_python_wrote_is_what_is_read() {
    let plan = plan_of("whole");
    assert_eq!(plan.listeners.len(), 2);
    assert!(plan.listeners[1].admin);
    let route = &plan.routes[0];
    assert_eq!(route.name, "api.example.com/v1/");
    assert_eq!(route.matches.hosts, ["api.example.com"]);
    assert_eq!(plan.limits[route.limits[0] as usize].burst, 200);
    assert_eq!(plan.hooks[route.hook.expect("it has a hook") as usize].name, "policies:check");
    let Action::Forward { upstream } = route.action else { panic!("{:?}", route.action) };
    assert_eq!(plan.upstreams[upstream as usize].endpoints.len(), 2);
}

#[test]
fn a_key_that_nobody_knows_is_refused_wherever_it_stands() {
    for (name, text) in golden() {
        let plan: Value = serde_json::from_str(&text).expect("a plan is JSON");
        for path in records(&plan, String::new()) {
            let mut broken = plan.clone();
            let record =
                broken.pointer_mut(&path).and_then(Value::as_object_mut).expect("the path was just found");
            // A choice without a value (`{"kind": "json"}`) has no keys of its own that could be misspelt.
            if record.len() == 1 && record.contains_key("kind") {
                continue;
            }
            record.insert("misspelt".into(), Value::Null);
            assert!(
                Plan::decode(broken.to_string().as_bytes()).is_err(),
                "{name}: {path}/misspelt was taken"
            );
        }
    }
}

#[test]
fn a_plan_of_another_schema_is_refused() {
    let (_, text) = golden().into_iter().find(|(name, _)| name == "minimal").expect("the plan is there");
    let other = text.replacen("\"schema\": 1", "\"schema\": 2", 1);
    let error = Plan::decode(other.as_bytes()).expect_err("it is of another schema");
    assert_eq!(error.path, "schema");
}

/// The JSON pointers of all objects.
fn records(value: &Value, path: String) -> Vec<String> {
    let mut found = Vec::new();
    match value {
        Value::Object(entries) => {
            for (key, inner) in entries {
                found.extend(records(inner, format!("{path}/{key}")));
            }
            found.push(path);
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                found.extend(records(inner, format!("{path}/{index}")));
            }
        }
        _ => {}
    }
    found
}
