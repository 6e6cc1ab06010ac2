//! The console in a real browser: it shows the services that really listen, and a click shows what breaks.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::support::webdriver::Browser;
use crate::support::{Running, eventually, example, free_port, get_json, http, installed, scratch, start};
use serde_json::Value;

struct Console {
    address: SocketAddr,
    _process: Running,
}

fn console(args: &[&str]) -> Option<Console> {
    let Some(binary) = example("console") else {
        println!("skipped: the console is not built; run the tests of the whole package");
        return None;
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let listen = address.to_string();
    let mut all = vec!["--listen", &listen];
    all.extend_from_slice(args);
    let process = start(&binary.to_string_lossy(), &all).expect("the console starts");
    eventually(Duration::from_secs(60), || {
        // Two rounds: the second sees the connections of a settled process.
        get_json(address, "/api/overview").filter(|overview| overview["engine"]["rounds"].as_u64() >= Some(4))
    })
    .expect("the console answers and has taken rounds in");
    Some(Console { address, _process: process })
}

#[test]
fn the_page_shows_listening_services_and_a_click_shows_the_impact() {
    let _turn = crate::support::turn();
    let folder = scratch("console-page");
    let browser = match Browser::start(&folder.join("profile")) {
        Ok(browser) => browser,
        Err(reason) => {
            println!("skipped: {reason}");
            return;
        }
    };
    let Some(redis) = installed("redis-server") else {
        println!("skipped: redis-server is not installed");
        return;
    };
    let port = free_port().to_string();
    let data = folder.to_string_lossy().into_owned();
    let _redis = start(
        &redis.to_string_lossy(),
        &["--port", &port, "--bind", "127.0.0.1", "--save", "", "--dir", &data],
    )
    .expect("redis starts");
    eventually(Duration::from_secs(10), || {
        std::net::TcpStream::connect(("127.0.0.1", port.parse::<u16>().ok()?)).ok()
    })
    .expect("redis listens");
    let Some(console) = console(&["--memory", "--every", "2s"]) else { return };

    browser.open(&format!("http://{}/", console.address));
    let ready = eventually(Duration::from_secs(60), || {
        (browser.run("return document.body.dataset.ready", &[]) == "1").then_some(())
    });
    assert!(ready.is_some(), "the page draws its map");
    let nodes = eventually(Duration::from_secs(60), || {
        let nodes = browser.run("return window.itom.nodes()", &[]);
        let found = nodes.as_array()?.iter().any(is_redis);
        found.then_some(nodes)
    })
    .expect("the map has a node for the redis that listens");
    let nodes = nodes.as_array().expect("a list of nodes");
    assert!(nodes.iter().any(|node| node["kind"].as_str().is_some_and(|kind| kind.starts_with("host"))));

    // What the page shows is what the kernel says: every service node has a listening endpoint of this machine.
    let host = nodes
        .iter()
        .find(|node| node["kind"].as_str().is_some_and(|kind| kind.starts_with("host")))
        .expect("the host is on the map");
    let redis = nodes.iter().find(|node| is_redis(node)).expect("found above");
    browser.run("return window.itom.select(arguments[0])", &[host["id"].clone()]);
    let selector = format!("[data-impact-ci=\"{}\"]", redis["id"].as_str().unwrap_or_default());
    let shown = eventually(Duration::from_secs(20), || {
        (browser
            .run("return document.querySelectorAll(arguments[0]).length", &[Value::from(selector.as_str())])
            .as_u64()
            >= Some(1))
        .then_some(())
    });
    if let Some(path) = std::env::var_os("ITOM_SCREENSHOT") {
        std::fs::write(path, browser.screenshot()).expect("the screenshot can be written");
    }
    assert!(shown.is_some(), "selecting the host lists redis among what breaks");
}

fn is_redis(node: &Value) -> bool {
    node["kind"].as_str().is_some_and(|kind| kind.starts_with("service"))
        && node["name"].as_str().is_some_and(|name| name.contains("redis"))
}

#[test]
fn the_server_refuses_other_hosts_and_other_origins() {
    let _turn = crate::support::turn();
    let Some(console) = console(&["--memory"]) else { return };
    let evil = [("Host", "evil.example:8642")];
    assert_eq!(
        http(console.address, "GET", "/api/overview", &evil, None).map(|(status, _)| status).ok(),
        Some(421)
    );
    let query = "/api/v1/query?query=up";
    assert_eq!(http(console.address, "GET", query, &evil, None).map(|(status, _)| status).ok(), Some(421));
    assert_eq!(http(console.address, "GET", query, &[], None).map(|(status, _)| status).ok(), Some(200));
    let other = [("Origin", "http://evil.example")];
    let path = "/api/alerts/00000000-0000-0000-0000-000000000000/ack";
    let by = serde_json::json!({"by": "test"});
    assert_eq!(
        http(console.address, "POST", path, &other, Some(&by)).map(|(status, _)| status).ok(),
        Some(403)
    );
    assert_eq!(http(console.address, "POST", path, &[], Some(&by)).map(|(status, _)| status).ok(), Some(404));
    assert_eq!(
        http(console.address, "GET", "/api/ci/nonsense", &[], None).map(|(status, _)| status).ok(),
        Some(400)
    );
    assert_eq!(http(console.address, "GET", "/nothing", &[], None).map(|(status, _)| status).ok(), Some(404));
}

#[test]
fn queries_are_answered_where_they_are_wrong_and_rules_say_what_they_cost() {
    let _turn = crate::support::turn();
    let folder = scratch("console-query");
    let browser = match Browser::start(&folder.join("profile")) {
        Ok(browser) => browser,
        Err(reason) => {
            println!("skipped: {reason}");
            return;
        }
    };
    let groups = folder.join("own.rules.yaml");
    std::fs::write(
        &groups,
        "groups:\n- name: own\n  interval: 1s\n  rules:\n  - record: own:cpus\n    expr: count(count by (cpu) (node_cpu_seconds_total))\n  - alert: AlwaysThere\n    expr: own:cpus > 0\n    annotations:\n      summary: '{{ $value }} processors'\n",
    )
    .expect("the file is written");
    let file = groups.to_string_lossy().into_owned();
    let Some(console) = console(&["--memory", "--every", "1s", "--rule-packs", "--rule-file", &file]) else {
        return;
    };

    let firing = eventually(Duration::from_secs(30), || {
        let rules = get_json(console.address, "/api/v1/rules")?;
        let own = rules["data"]["groups"].as_array()?.iter().find(|group| group["name"] == "own")?.clone();
        (own["rules"][1]["state"] == "firing").then_some(own)
    })
    .expect("the rule of the file fires, and the query API says so");
    assert_eq!(firing["rules"][0]["type"], "recording");
    assert_eq!(firing["rules"][1]["annotations"]["summary"], "{{ $value }} processors");
    let shown = firing["rules"][1]["alerts"][0]["annotations"]["summary"].as_str().unwrap_or_default();
    assert!(shown.ends_with(" processors") && !shown.contains('{'), "{shown}");

    if installed("promtool").is_some() {
        let server = format!("http://{}", console.address);
        let told =
            std::process::Command::new("promtool").args(["query", "instant", &server, "own:cpus"]).output();
        let told = String::from_utf8(told.expect("promtool runs").stdout).expect("text");
        assert!(told.starts_with("own:cpus => "), "promtool reads the console: {told}");
    } else {
        println!("skipped: promtool is not installed");
    }

    let page = |path: &str| format!("http://{}/?live=off#/{path}", console.address);
    let text = |selector: &str| {
        eventually(Duration::from_secs(30), || {
            let script = "return document.querySelector(arguments[0])?.textContent ?? ''";
            let text = browser.run(script, &[Value::from(selector)]).as_str()?.to_owned();
            (!text.is_empty()).then_some(text)
        })
        .unwrap_or_default()
    };
    browser.open(&page("query?q=own%3Acpus"));
    assert_eq!(text(".page-query tbody code"), "own:cpus");
    let number = text(".page-query tbody td.num");
    assert!(number.parse::<u32>().is_ok_and(|cpus| cpus > 0), "{number}");

    browser.open("about:blank");
    browser.open(&page("query?q=sum(own%3Acpus%20%2B)"));
    let problem = text(".page-query .problem mark");
    assert_eq!(problem, ")", "the place of the mistake is marked");

    browser.open("about:blank");
    browser.open(&page("rules"));
    let own = text(".page-rules section:first-of-type");
    assert!(!own.is_empty());
    let all = text(".page-rules");
    assert!(
        all.contains("AlwaysThere") && all.contains("firing") && all.contains("host_cpu_saturated"),
        "{all}"
    );
    browser.open("about:blank");
    browser.open(&page("health"));
    let measures = text("table[aria-label='Quality of the data'] tbody");
    assert!(measures.contains("required attributes known") && measures.contains('%'), "{measures}");
    let quality = get_json(console.address, "/api/quality").expect("how good the data is");
    assert!(quality["rules"].as_str().is_some_and(|rules| rules.starts_with("default ")), "{quality}");
    let names = &quality["measures"][4];
    assert!(names["of"].as_u64() >= Some(1), "the host has a name that should be its own: {names}");
}
