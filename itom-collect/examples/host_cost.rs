//! What a round of the host collector costs, in CPU time, beside a scrape of node_exporter on the same machine:
//!
//! ```text
//! cargo run --release -p itom-collect --features host --example host_cost -- [--rounds N] [--node-exporter PORT]
//! ```
//!
//! With `--node-exporter` it starts `prometheus-node-exporter` on that port of 127.0.0.1 and ends it again.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    #[cfg(target_os = "linux")]
    return linux::main();
    #[cfg(not(target_os = "linux"))]
    Err("this example measures a Linux collector".into())
}

#[cfg(target_os = "linux")]
mod linux {
    use std::error::Error;
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::process::{Child, Command, Stdio};
    use std::sync::Arc;
    use std::time::Duration;

    use itom_collect::linux::HostCollector;
    use itom_collect::{Cancel, CollectContext, Collector};
    use itom_core::{Batch, Clock, SourceName, SystemClock, Timestamp};

    pub(super) fn main() -> Result<(), Box<dyn Error>> {
        let mut rounds = 500_u32;
        let mut port = None;
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?;
            match argument.as_str() {
                "--rounds" => rounds = value.parse()?,
                "--node-exporter" => port = Some(value.parse::<u16>()?),
                _ => return Err(format!("{argument} is not known; give --rounds or --node-exporter").into()),
            }
        }
        let metrics = rounds_of("metrics", &HostCollector::metrics_only(), rounds)?;
        rounds_of("inventory", &HostCollector::inventory_only(), rounds / 10 + 1)?;
        if let Some(port) = port {
            let peer = NodeExporter::start(port)?.cost(rounds.min(300))?;
            println!("node_exporter      {peer:8.1} µs CPU a scrape");
            println!("ratio              {:8.2} (ours / node_exporter)", metrics / peer);
        }
        Ok(())
    }

    fn rounds_of(name: &str, collector: &HostCollector, rounds: u32) -> Result<f64, Box<dyn Error>> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let context = CollectContext::new(clock.clone(), Timestamp::MAX, Cancel::new());
        let mut items = 0;
        let mut run = || -> Result<(), Box<dyn Error>> {
            let mut batch = Batch::new(SourceName::literal("host"), clock.now());
            let coverage = futures::executor::block_on(collector.collect(&context, &mut batch))?;
            batch.finish(coverage);
            items = batch.items().len();
            Ok(())
        };
        // The first round fills the caches.
        run()?;
        let before = own_cpu();
        for _ in 0..rounds {
            run()?;
        }
        let micros = (own_cpu() - before) / f64::from(rounds);
        println!("{name:<18} {micros:8.1} µs CPU a round, {items} items");
        Ok(micros)
    }

    /// CPU microseconds of this process, user and system.
    fn own_cpu() -> f64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
    }

    struct NodeExporter {
        child: Child,
        port: u16,
    }

    impl NodeExporter {
        fn start(port: u16) -> Result<Self, Box<dyn Error>> {
            let child = Command::new("prometheus-node-exporter")
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .stderr(Stdio::null())
                .spawn()
                .map_err(|error| format!("prometheus-node-exporter cannot be started: {error}"))?;
            let exporter = Self { child, port };
            let clock = SystemClock::new();
            let last = clock.now() + Duration::from_secs(10);
            while exporter.scrape().is_err() {
                if clock.now() > last {
                    return Err("prometheus-node-exporter does not answer within 10 s".into());
                }
                futures::executor::block_on(clock.sleep_until(clock.now() + Duration::from_millis(50)));
            }
            Ok(exporter)
        }

        fn scrape(&self) -> std::io::Result<usize> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
            let mut body = Vec::new();
            stream.read_to_end(&mut body)
        }

        fn cost(self, rounds: u32) -> Result<f64, Box<dyn Error>> {
            for _ in 0..5 {
                self.scrape()?;
            }
            let before = self.cpu()?;
            for _ in 0..rounds {
                self.scrape()?;
            }
            Ok((self.cpu()? - before) / f64::from(rounds))
        }

        /// CPU microseconds of the child; `/proc/PID/stat` counts hundredths of a second.
        fn cpu(&self) -> Result<f64, Box<dyn Error>> {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
            let fields: Vec<&str> =
                stat.rsplit_once(") ").ok_or("no stat")?.1.split_ascii_whitespace().collect();
            let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
            Ok((ticks(11).ok_or("no utime")? + ticks(12).ok_or("no stime")?) * 1e4)
        }
    }

    impl Drop for NodeExporter {
        fn drop(&mut self) {
            // It may have ended by itself; there is nothing to do about a failure here.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
