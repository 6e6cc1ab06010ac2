//! A recorded machine, as a tree of files.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A tree that is removed when the test is over.
pub(crate) struct Tree(pub(crate) PathBuf);

impl Tree {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("itom-host-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&root).expect("a directory");
        Self(root)
    }

    pub(super) fn file(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, content).expect("a file");
        self
    }

    pub(super) fn link(&self, path: &str, target: &str) -> &Self {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::os::unix::fs::symlink(target, path).expect("a link");
        self
    }

    pub(crate) fn machine() -> Self {
        let tree = Self::new();
        for (path, content) in MACHINE {
            tree.file(path, content);
        }
        for (path, target) in [
            ("sys/class/net/eth0/device", "../../../devices/x"),
            ("sys/dev/block/8:1", "../../devices/pci/ata1/block/sda/sda1"),
            ("sys/class/block/sda2", "../../devices/pci/ata1/block/sda/sda2"),
            ("sys/block/dm-0/slaves/sda2", "../../../sda/sda2"),
            ("sys/class/block/dm-0", "../../devices/virtual/block/dm-0"),
            ("dev/mapper/vg-data", "../dm-0"),
            ("etc/localtime", "/usr/share/zoneinfo/Europe/Vienna"),
        ] {
            tree.link(path, target);
        }
        // Mount points, so that the kernel can be asked for their size.
        std::fs::create_dir_all(tree.0.join("data")).expect("a directory");
        tree
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("removable");
    }
}

pub(super) const MACHINE_ID: &str = "3d1219c7c4c5404aaa1f6d2a48adfda4";

pub(super) const MACHINE: [(&str, &str); 62] = [
    ("etc/machine-id", "3d1219c7c4c5404aaa1f6d2a48adfda4\n"),
    ("etc/hosts", "127.0.0.1 localhost\n192.0.2.2 web-1.example.com web-1 # us\n"),
    (
        "etc/os-release",
        "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\nPRETTY_NAME=\"Debian 12\"\n",
    ),
    ("proc/cpuinfo", "processor\t: 0\nmodel name\t: Example CPU\nflags\t: fpu\n\nprocessor\t: 1\n"),
    ("proc/diskstats", "8 0 sda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n8 1 sda1 1 1 1 1 1 1 1 1 1 1 1\n"),
    ("proc/loadavg", "0.50 1.25 2.00 1/234 567\n"),
    ("proc/meminfo", "MemTotal:       1000 kB\nActive(anon):       10 kB\nHugePages_Total:       3\n"),
    ("proc/net/arp", "IP address HW type\n192.0.2.1 0x1 0x2 00:1b:44:11:3a:01 * eth0\n"),
    (
        "proc/net/dev",
        "Inter-|\n face |\n eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
    ),
    (
        "proc/net/fib_trie",
        "Local:\n |-- 127.0.0.1\n /32 host LOCAL\n |-- 192.0.2.2\n /32 host LOCAL\n |-- 192.0.2.255\n /32 link BROADCAST\n",
    ),
    (
        "proc/net/if_inet6",
        "fd000000000000000000000000000002 04 40 00 82     eth0\nfe8000000000000000fc00fffe000001 04 40 20 80 eth0\n",
    ),
    (
        "proc/net/ipv6_route",
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n",
    ),
    ("proc/net/netstat", "TcpExt: SyncookiesSent TW ListenDrops\nTcpExt: 1 2 3\nIpExt: InOctets\nIpExt: 4\n"),
    (
        "proc/net/route",
        "Iface Destination\neth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0\neth0 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n",
    ),
    ("proc/net/snmp", "Ip: Forwarding DefaultTTL\nIp: 2 64\nTcp: MaxConn CurrEstab\nTcp: -1 5\n"),
    ("proc/net/snmp6", "Ip6InOctets 128\nIp6InReceives 1\n"),
    ("proc/net/sockstat", "sockets: used 22\nTCP: inuse 4 orphan 0 tw 0 alloc 4 mem 2\n"),
    ("proc/net/sockstat6", "TCP6: inuse 1\n"),
    (
        "proc/pressure/cpu",
        "some avg10=0 avg60=0 avg300=0 total=2000000\nfull avg10=0 avg60=0 avg300=0 total=9\n",
    ),
    (
        "proc/pressure/io",
        "some avg10=0 avg60=0 avg300=0 total=500000\nfull avg10=0 avg60=0 avg300=0 total=250000\n",
    ),
    (
        "proc/self/mountinfo",
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 0:30 / /data ro - btrfs /dev/mapper/vg-data rw\n24 22 0:5 / /proc rw - proc proc rw\n25 22 0:40 / /mnt/share rw - nfs4 filer:/x rw\n",
    ),
    (
        "proc/stat",
        "cpu  100 0 0 0\ncpu0 100 1 2 3 4 5 6 7 8 9\nintr 9 1\nctxt 7\nbtime 1700000000\nprocesses 5\nprocs_running 2\nprocs_blocked 1\n",
    ),
    ("proc/sys/fs/file-nr", "1024\t0\t9223372036854775807\n"),
    ("proc/sys/kernel/arch", "x86_64\n"),
    ("proc/sys/kernel/domainname", "(none)\n"),
    ("proc/sys/kernel/hostname", "web-1\n"),
    ("proc/sys/kernel/osrelease", "6.1.0-13-amd64\n"),
    ("proc/sys/kernel/ostype", "Linux\n"),
    ("proc/sys/kernel/random/boot_id", "0e8b2a1c-5b1e-4f7e-9e58-3a3e4f0c9a11\n"),
    ("proc/sys/kernel/random/entropy_avail", "256\n"),
    ("proc/sys/kernel/random/poolsize", "256\n"),
    ("proc/sys/kernel/version", "#1 SMP\n"),
    ("proc/vmstat", "nr_free_pages 1\npgfault 4\noom_kill 6\n"),
    ("run/systemd/timesync/synchronized", ""),
    ("run/udev/data/b8:0", "E:ID_MODEL=Fast_Disk\nE:ID_SERIAL_SHORT=S1\n"),
    ("sys/block/dm-0/size", "100\n"),
    ("sys/block/loop0/size", "0\n"),
    ("sys/block/sda/device/model", "Fast Disk   \n"),
    ("sys/block/sda/device/vendor", "ATA\n"),
    ("sys/block/sda/device/wwid", "naa.5000c500a1b2c3d4\n"),
    ("sys/block/sda/queue/rotational", "0\n"),
    ("sys/block/sda/size", "2000\n"),
    ("sys/class/dmi/id/product_name", "PowerEdge R640\n"),
    ("sys/class/dmi/id/product_serial", "Default string\n"),
    ("sys/class/dmi/id/product_uuid", "4c4c4544-0051-3510-8051-c4c04f4b4e31\n"),
    ("sys/class/dmi/id/sys_vendor", "Dell Inc.\n"),
    ("sys/class/hwmon/hwmon0/name", "coretemp\n"),
    ("sys/class/hwmon/hwmon0/temp1_crit", "100000\n"),
    ("sys/class/hwmon/hwmon0/temp1_input", "45500\n"),
    ("sys/class/net/bonding_masters", "\n"),
    ("sys/class/net/eth0/addr_assign_type", "0\n"),
    ("sys/class/net/eth0/address", "00:1b:44:11:3a:b7\n"),
    ("sys/class/net/eth0/ifindex", "2\n"),
    ("sys/class/net/eth0/mtu", "1500\n"),
    ("sys/class/net/eth0/operstate", "up\n"),
    ("sys/class/net/eth0/speed", "1000\n"),
    ("sys/class/net/lo/address", "00:00:00:00:00:00\n"),
    ("sys/class/net/lo/ifindex", "1\n"),
    ("sys/class/net/lo/mtu", "65536\n"),
    ("sys/class/net/lo/operstate", "unknown\n"),
    ("sys/class/thermal/thermal_zone0/temp", "40000\n"),
    ("sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n"),
];
