// orders SECONDS [THREADS] - an order-processing service in small: each thread makes batches of
// orders as text, parses, prices, sorts, indexes and serialises them, again and again, until it
// has spent SECONDS of CPU time (0: for ever). On standard output, as one line of JSON: the CPU
// time of each phase by the thread's own clock.
//
// It is the C++ that profilers meet: the standard library's templates, virtual calls, inlined
// accessors, exceptions for malformed lines, and recursion in the pricing rules. It is built
// without frame pointers.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#define PHASE __attribute__((noinline))

namespace orders
{

double cpu_seconds()
{
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

class Random
{
  public:
    explicit Random(std::uint64_t seed) : state_(seed * 2 + 1)
    {
    }

    std::uint32_t below(std::uint32_t limit)
    {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return static_cast<std::uint32_t>((state_ >> 33) % limit);
    }

  private:
    std::uint64_t state_;
};

struct Item {
    std::string product;
    std::uint32_t quantity = 0;
    std::int64_t cents = 0;
};

class Order
{
  public:
    std::uint64_t id = 0;
    std::string customer;
    std::string country;
    std::vector<Item> items;
    std::int64_t total = 0;

    std::int64_t sum() const
    {
        std::int64_t result = 0;
        for (const Item &item : items)
            result += item.cents * item.quantity;
        return result;
    }
};

struct MalformedLine : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// ---- parse

class LineReader
{
  public:
    explicit LineReader(std::string_view line) : rest_(line)
    {
    }

    std::string_view field(char separator)
    {
        auto end = rest_.find(separator);
        std::string_view result = rest_.substr(0, end);
        rest_ = end == std::string_view::npos ? std::string_view() : rest_.substr(end + 1);
        return result;
    }

    template <typename Number> Number number(char separator)
    {
        std::string_view text = field(separator);
        Number result{};
        auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), result);
        if (code != std::errc() || end != text.data() + text.size())
            throw MalformedLine("not a number: " + std::string(text));
        return result;
    }

    bool done() const
    {
        return rest_.empty();
    }

  private:
    std::string_view rest_;
};

Order parse_order(std::string_view line)
{
    LineReader reader(line);
    Order order;
    order.id = reader.number<std::uint64_t>(';');
    order.customer = reader.field(';');
    order.country = reader.field(';');
    while (!reader.done()) {
        Item item;
        item.product = reader.field(',');
        item.quantity = reader.number<std::uint32_t>(',');
        item.cents = reader.number<std::int64_t>(';');
        order.items.push_back(std::move(item));
    }
    return order;
}

PHASE std::vector<Order> parse_batch(const std::string &text, std::size_t &malformed)
{
    std::vector<Order> result;
    LineReader lines(text);
    while (!lines.done()) {
        try {
            result.push_back(parse_order(lines.field('\n')));
        } catch (const MalformedLine &) {
            malformed++;
        }
    }
    return result;
}

// ---- price: a tree of rules

class Rule
{
  public:
    virtual ~Rule() = default;
    virtual std::int64_t apply(const Order &order, std::int64_t cents) const = 0;
};

class Discount : public Rule
{
  public:
    Discount(std::int64_t from, int percent) : from_(from), percent_(percent)
    {
    }

    std::int64_t apply(const Order &, std::int64_t cents) const override
    {
        return cents >= from_ ? cents - cents * percent_ / 100 : cents;
    }

  private:
    std::int64_t from_;
    int percent_;
};

class Tax : public Rule
{
  public:
    std::int64_t apply(const Order &order, std::int64_t cents) const override
    {
        static const std::map<std::string, int> rates = {
            {"AT", 20}, {"BE", 21}, {"DE", 19}, {"FR", 20}, {"IT", 22}, {"NL", 21}, {"SE", 25}};
        auto rate = rates.find(order.country);
        return cents + cents * (rate == rates.end() ? 0 : rate->second) / 100;
    }
};

class Chain : public Rule
{
  public:
    Chain(std::unique_ptr<Rule> first, std::unique_ptr<Rule> then)
        : first_(std::move(first)), then_(std::move(then))
    {
    }

    std::int64_t apply(const Order &order, std::int64_t cents) const override
    {
        return then_->apply(order, first_->apply(order, cents));
    }

  private:
    std::unique_ptr<Rule> first_, then_;
};

std::unique_ptr<Rule> make_rules(int depth)
{
    if (depth == 0)
        return std::make_unique<Tax>();
    return std::make_unique<Chain>(std::make_unique<Discount>(1000 * depth, depth % 3),
                                   make_rules(depth - 1));
}

PHASE void price_batch(std::vector<Order> &batch, const Rule &rules)
{
    for (Order &order : batch)
        order.total = rules.apply(order, order.sum());
}

// ---- sort

struct ByCountryAndTotal {
    bool operator()(const Order &a, const Order &b) const
    {
        if (a.country != b.country)
            return a.country < b.country;
        if (a.total != b.total)
            return a.total > b.total;
        return a.id < b.id;
    }
};

PHASE void sort_batch(std::vector<Order> &batch)
{
    std::sort(batch.begin(), batch.end(), ByCountryAndTotal());
}

// ---- index: sales by product and by customer

struct Sales {
    std::uint64_t count = 0;
    std::int64_t cents = 0;
};

struct NameHash {
    std::size_t operator()(const std::string &name) const
    {
        std::uint64_t hash = 14695981039346656037u;
        for (unsigned char c : name)
            hash = (hash ^ c) * 1099511628211u;
        return hash;
    }
};

using Index = std::unordered_map<std::string, Sales, NameHash>;

PHASE void index_batch(const std::vector<Order> &batch, Index &products, Index &customers)
{
    for (const Order &order : batch) {
        for (const Item &item : order.items) {
            Sales &sales = products[item.product];
            sales.count += item.quantity;
            sales.cents += item.cents * item.quantity;
        }
        Sales &sales = customers[order.customer];
        sales.count++;
        sales.cents += order.total;
    }
}

// ---- serialise

class Writer
{
  public:
    virtual ~Writer() = default;
    virtual void write(const Order &order, std::string &out) const = 0;

  protected:
    template <typename Number> static void append(std::string &out, Number number)
    {
        std::array<char, 24> digits;
        auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
        out.append(digits.data(), end);
    }
};

class JsonWriter : public Writer
{
  public:
    void write(const Order &order, std::string &out) const override
    {
        out += "{\"id\":";
        append(out, order.id);
        out += ",\"customer\":";
        quote(order.customer, out);
        out += ",\"items\":[";
        for (const Item &item : order.items) {
            out += &item == order.items.data() ? "{\"product\":" : ",{\"product\":";
            quote(item.product, out);
            out += ",\"quantity\":";
            append(out, item.quantity);
            out += '}';
        }
        out += "],\"total\":";
        append(out, order.total);
        out += "}\n";
    }

  private:
    static void quote(const std::string &text, std::string &out)
    {
        out += '"';
        for (char c : text) {
            if (c == '"' || c == '\\')
                out += '\\';
            out += c;
        }
        out += '"';
    }
};

class CsvWriter : public Writer
{
  public:
    void write(const Order &order, std::string &out) const override
    {
        append(out, order.id);
        out += ',' + order.customer + ',' + order.country + ',';
        append(out, order.total);
        out += '\n';
    }
};

PHASE std::string serialise_batch(const std::vector<Order> &batch,
                                  const std::vector<std::unique_ptr<Writer>> &writers)
{
    std::string out;
    for (const auto &writer : writers) {
        for (const Order &order : batch)
            writer->write(order, out);
    }
    return out;
}

// ---- the service

std::string make_text(Random &random, std::size_t lines)
{
    static const char *const countries[] = {"AT", "BE", "DE", "FR", "IT", "NL", "SE", "US"};
    std::string text;
    for (std::size_t i = 0; i < lines; i++) {
        // One line in two hundred is malformed.
        text += random.below(200) ? std::to_string(random.below(1000000000)) : "?";
        text += ";customer " + std::to_string(random.below(5000)) + ';';
        text += countries[random.below(8)];
        for (std::uint32_t item = 0, items = 1 + random.below(6); item < items; item++)
            text += ";product-" + std::to_string(random.below(2000)) + ',' +
                    std::to_string(1 + random.below(9)) + ',' +
                    std::to_string(100 + random.below(100000));
        text += '\n';
    }
    return text;
}

enum Phase { PARSE, PRICE, SORT, INDEX, SERIALISE, PHASES };
const char *const phase_names[PHASES] = {"orders::parse_batch", "orders::price_batch",
                                         "orders::sort_batch", "orders::index_batch",
                                         "orders::serialise_batch"};

struct Result {
    std::array<double, PHASES> seconds{};
    std::size_t orders = 0, malformed = 0, bytes = 0;
};

template <typename Function> void timed(Result &result, Phase phase, Function function)
{
    double start = cpu_seconds();
    function();
    result.seconds[phase] += cpu_seconds() - start;
}

Result serve(double seconds, int thread)
{
    Random random(static_cast<std::uint64_t>(thread) + 1);
    auto rules = make_rules(24);
    std::vector<std::unique_ptr<Writer>> writers;
    writers.push_back(std::make_unique<JsonWriter>());
    writers.push_back(std::make_unique<CsvWriter>());
    std::vector<std::string> texts;
    for (int i = 0; i < 4; i++)
        texts.push_back(make_text(random, 16000));

    Result result;
    Index products, customers;
    double start = cpu_seconds();
    for (std::size_t round = 0; seconds <= 0 || cpu_seconds() - start < seconds; round++) {
        std::vector<Order> batch;
        std::string out;
        timed(result, PARSE,
              [&] { batch = parse_batch(texts[round % texts.size()], result.malformed); });
        timed(result, PRICE, [&] { price_batch(batch, *rules); });
        timed(result, SORT, [&] { sort_batch(batch); });
        timed(result, INDEX, [&] { index_batch(batch, products, customers); });
        timed(result, SERIALISE, [&] { out = serialise_batch(batch, writers); });
        result.orders += batch.size();
        result.bytes += out.size();
    }
    return result;
}

} // namespace orders

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? std::atof(argv[1]) : 1;
    int count = argc > 2 ? std::atoi(argv[2]) : 1;
    std::vector<orders::Result> results(static_cast<std::size_t>(std::max(count, 1)));
    std::vector<std::thread> threads;
    for (int i = 1; i < count; i++)
        threads.emplace_back(
            [&, i] { results[static_cast<std::size_t>(i)] = orders::serve(seconds, i); });
    results[0] = orders::serve(seconds, 0);
    for (std::thread &thread : threads)
        thread.join();

    orders::Result sum;
    for (const orders::Result &result : results) {
        for (std::size_t i = 0; i < orders::PHASES; i++)
            sum.seconds[i] += result.seconds[i];
        sum.orders += result.orders;
        sum.malformed += result.malformed;
    }
    timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    std::printf("{\"cpu_s\":%.6f,\"orders\":%zu,\"malformed\":%zu,\"functions\":{",
                static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9,
                sum.orders, sum.malformed);
    for (std::size_t i = 0; i < orders::PHASES; i++)
        std::printf("%s\"%s\":%.6f", i ? "," : "", orders::phase_names[i], sum.seconds[i]);
    std::printf("}}\n");
}
