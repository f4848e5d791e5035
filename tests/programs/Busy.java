// Busy SECONDS - spends 70 % of its CPU time in hotLoop and 30 % in warmLoop; 0: for ever.

import java.lang.management.ManagementFactory;

class Busy {
    static int hotLoop(int rounds) {
        int x = rounds;
        for (int i = 0; i < rounds; i++)
            x = (x ^ (x >>> 13)) * 1103515245 + i;
        return x;
    }

    static int warmLoop(int rounds) {
        int x = rounds;
        for (int i = 0; i < rounds; i++)
            x = (x ^ (x >>> 11)) * 69069 + i;
        return x;
    }

    static double seconds() {
        return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() / 1e9;
    }

    public static void main(String[] args) {
        double limit = Double.parseDouble(args[0]), hot = 0, warm = 0;
        int sink = 0;
        System.out.println("ready");
        while (limit <= 0 || hot + warm < limit) {
            double start = seconds();
            if (hot * 30 <= warm * 70) {
                sink ^= hotLoop(2000000);
                hot += seconds() - start;
            } else {
                sink ^= warmLoop(2000000);
                warm += seconds() - start;
            }
        }
        System.out.println("{\"functions\":{\"hotLoop\":" + hot + ",\"warmLoop\":" + warm
                           + "},\"sink\":" + sink + "}");
    }
}
