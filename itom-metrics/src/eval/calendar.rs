//! Dates of the proleptic Gregorian calendar in UTC.

/// A second of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) year: i64,
    /// From 1.
    pub(super) month: u32,
    /// From 1.
    pub(super) day: u32,
    pub(super) hour: u32,
    pub(super) minute: u32,
    pub(super) second: u32,
    /// 0 is Sunday.
    pub(super) weekday: u32,
    /// From 1.
    pub(super) year_day: u32,
}

impl Civil {
    /// The date of a count of seconds since the epoch.
    pub(super) fn of(seconds: i64) -> Self {
        let days = seconds.div_euclid(86_400);
        let of_day = seconds.rem_euclid(86_400) as u32;
        // Years begin in March here, so that the leap day is the last one; eras of 400 years are all alike.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * of_year + 2) / 153;
        let day = (of_year - (153 * march_month + 2) / 5 + 1) as u32;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 } as u32;
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let before: u32 = (1..month).map(|month| days_in(year, month)).sum();
        Self {
            year,
            month,
            day,
            hour: of_day / 3_600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
            // The epoch was a Thursday.
            weekday: (days + 4).rem_euclid(7) as u32,
            year_day: before + day,
        }
    }

    pub(super) fn days_in_month(&self) -> u32 {
        days_in(self.year, self.month)
    }
}

fn days_in(year: i64, month: u32) -> u32 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::Civil;

    #[test]
    fn known_days() {
        let leap_day = Civil::of(1_709_164_800);
        assert_eq!(
            (leap_day.year, leap_day.month, leap_day.day, leap_day.weekday, leap_day.year_day),
            (2024, 2, 29, 4, 60)
        );
        assert_eq!(leap_day.days_in_month(), 29);
        let before = Civil::of(-1);
        assert_eq!((before.year, before.month, before.day, before.second), (1969, 12, 31, 59));
    }
}
