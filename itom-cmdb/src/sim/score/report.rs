//! The score for people.

use std::fmt;

use super::{Identity, Measure, MistakeKind, Score};

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "precision {:.5}  recall {:.5}  F1 {:.5}", self.precision, self.recall, self.f1)
    }
}

fn identity(f: &mut fmt::Formatter<'_>, title: &str, own: &Identity) -> fmt::Result {
    writeln!(
        f,
        "{title:<28} {}  | B³ {}  | {} objects, {} things, {} items, {} abstained; {} wrong and {} missed of {} pairs",
        own.pairwise,
        own.b_cubed,
        own.objects,
        own.entities,
        own.groups,
        own.abstained,
        own.wrong_pairs,
        own.missed_pairs,
        own.true_pairs
    )
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        identity(f, "identity, now", &self.identity)?;
        identity(f, "identity, ever", &self.identity_ever)?;
        for (class, own) in &self.by_class {
            if own.true_pairs > 0 || own.wrong_pairs > 0 {
                identity(f, &format!("  {class}"), own)?;
            }
        }
        if !self.identity.by_hazard.is_empty() {
            writeln!(f, "wrong groups by hazard         merged  split")?;
            for (hazard, (merged, split)) in &self.identity.by_hazard {
                let name = hazard.map_or("(none)", super::super::Hazard::as_str);
                writeln!(f, "  {name:<28} {merged:>6} {split:>6}")?;
            }
        }
        writeln!(
            f,
            "relations                    {}  | {} believed, {} true and spoken of, {} unresolved",
            self.edges.all, self.edges.believed, self.edges.wanted, self.edges.unresolved
        )?;
        for band in &self.edges.by_age {
            writeln!(
                f,
                "  from {:>2} rounds old         {}  | {} believed, {} true",
                band.from_rounds, band.measure, band.believed, band.wanted
            )?;
        }
        for (kind, measure) in &self.edges.by_kind {
            writeln!(f, "  {kind:<26} {measure}")?;
        }
        let life = &self.life;
        writeln!(
            f,
            "retirements                  {} false of {} there {:?}; {} missed of {} gone {:?}, {} of them still claimed",
            life.false_retirements,
            life.there,
            life.false_by_class,
            life.missed_retirements,
            life.gone,
            life.missed_by_class,
            life.missed_and_still_claimed
        )?;
        let spread = &life.time_to_retire;
        writeln!(
            f,
            "time to retire               median {:.0} s  p99 {:.0} s  max {:.0} s of {}",
            spread.median, spread.p99, spread.max, spread.count
        )
    }
}

impl fmt::Display for super::Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            MistakeKind::Merged => "merged",
            MistakeKind::Split => "split",
        };
        let hazards: Vec<&str> = self.hazards.iter().map(|hazard| hazard.as_str()).collect();
        writeln!(f, "{what} {} ({})", self.class, hazards.join(", "))?;
        for (object, entity, group) in &self.objects {
            writeln!(f, "    {entity:<18} in item {group:<6} {object}")?;
        }
        Ok(())
    }
}
