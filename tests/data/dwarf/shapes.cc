/*
 * shapes.cc - code whose DWARF has every shape that test_dwarf looks at: functions inlined into
 * each other, lambdas, members, namespaces, local classes, templates, exceptions (cold parts),
 * constructors, recursion, and static initialization.
 */
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

namespace shapes
{
namespace
{
struct Point {
    int x, y;
    int sum() const { return x + y; }
};

inline int twice(int value) { return value * 2; }

template <typename T> inline T clamp_to(T value, T limit)
{
    if (value > limit)
        return limit;
    return value;
}
} // namespace

template <int N> struct Unrolled {
    static inline long run(const int *values)
    {
        return clamp_to(values[N - 1], 1000) + Unrolled<N - 1>::run(values);
    }
};

template <> struct Unrolled<0> {
    static inline long run(const int *) { return 0; }
};

class Engine
{
  public:
    explicit Engine(int count) : points_(static_cast<size_t>(count))
    {
        for (int i = 0; i < count; i++)
            points_[static_cast<size_t>(i)] = Point{i * 7 % 31, i};
    }

    virtual ~Engine() {}

    virtual long run()
    {
        std::sort(points_.begin(), points_.end(),
                  [](const Point &a, const Point &b) { return a.sum() < b.sum(); });
        long total = 0;
        auto add = [&total](int value) {
            total += twice(value);
            if (total == 123456789) {
                std::puts("rare");
                throw std::string("x");
            }
        };
        for (auto &point : points_)
            add(point.x);
        struct Local {
            static __attribute__((noinline)) int pick(int value)
            {
                return value % 3 ? value : twice(value);
            }
        };
        int values[8] = {1, 2, 3, 4, 5, 6, 7, (int)total};
        return total + Local::pick((int)total) + Unrolled<8>::run(values);
    }

  private:
    std::vector<Point> points_;
};

__attribute__((noinline)) int fibonacci(int n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}
} // namespace shapes

static std::vector<std::string> table;

int main(int argc, char **argv)
{
    shapes::Engine engine(argc * 100);
    try {
        table.push_back(argv[0]);
        std::printf("%ld %d\n", engine.run(), shapes::fibonacci(argc));
    } catch (std::string &text) {
        std::puts(text.c_str());
    }
    return static_cast<int>(table.size()) - 1;
}
