//! The axes of a recording.

/// The names of the axes in the order of every table: accelerometer (m/s², gravity included), gyroscope (rad/s),
/// magnetometer (µT).
pub const AXES: [&str; 9] = ["ax", "ay", "az", "gx", "gy", "gz", "mx", "my", "mz"];

/// An axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Axis {
    /// Acceleration along x, m/s², gravity included.
    Ax,
    /// Acceleration along y, m/s², gravity included.
    Ay,
    /// Acceleration along z, m/s², gravity included.
    Az,
    /// Rotation about x, rad/s.
    Gx,
    /// Rotation about y, rad/s.
    Gy,
    /// Rotation about z, rad/s.
    Gz,
    /// Magnetic field along x, µT.
    Mx,
    /// Magnetic field along y, µT.
    My,
    /// Magnetic field along z, µT.
    Mz,
}

impl Axis {
    /// Its name in documents, columns and rows.
    #[must_use]
    pub fn name(self) -> &'static str {
        let [ax, ay, az, gx, gy, gz, mx, my, mz] = AXES;
        match self {
            Self::Ax => ax,
            Self::Ay => ay,
            Self::Az => az,
            Self::Gx => gx,
            Self::Gy => gy,
            Self::Gz => gz,
            Self::Mx => mx,
            Self::My => my,
            Self::Mz => mz,
        }
    }
}
