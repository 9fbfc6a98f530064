// What programs do by JDBC, as checks that a test calls by name: PgClient URL CHECK... Each check runs on the stream
// trips and the view by_city of pg_clients.py; one that does not hold ends the program with an exception.
import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.sql.Array;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Time;
import java.sql.Timestamp;
import java.sql.Types;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Properties;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.UUID;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;
import org.postgresql.util.PSQLException;

public class PgClient {
  interface Check { void run(Connection db) throws Exception; }

  static String url;

  public static void main(String[] args) throws Exception {
    url = args[0];
    var checks = new TreeMap<String, Check>();
    checks.put("metadata", PgClient::metadata);
    checks.put("values", PgClient::values);
    checks.put("lookups", PgClient::lookups);
    checks.put("cursors", PgClient::cursors);
    checks.put("inserts", PgClient::inserts);
    checks.put("transactions", PgClient::transactions);
    checks.put("copy", PgClient::copy);
    checks.put("errors", PgClient::errors);
    checks.put("cancel", PgClient::cancel);
    checks.put("login", PgClient::login);
    for (int i = 1; i < args.length; ++i) {
      try (Connection db = connect()) {
        checks.get(args[i]).run(db);
      }
      System.out.println(args[i]);
    }
  }

  static Connection connect(String... options) throws SQLException {
    var properties = new Properties();
    if (!url.contains("user=")) properties.setProperty("user", "anybody");
    for (int i = 0; i < options.length; i += 2) properties.setProperty(options[i], options[i + 1]);
    return DriverManager.getConnection(url, properties);
  }

  static void equal(Object actual, Object expected, String what) {
    if (!Objects.equals(actual, expected)) {
      throw new AssertionError(what + ": " + actual + " instead of " + expected);
    }
  }

  static void holds(boolean condition, String what) {
    if (!condition) throw new AssertionError(what);
  }

  static List<String> column(ResultSet rows, String name) throws SQLException {
    var out = new ArrayList<String>();
    while (rows.next()) out.add(rows.getString(name));
    return out;
  }

  static long number(Connection db, String sql) throws SQLException {
    try (Statement statement = db.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
      rows.next();
      return rows.getLong(1);
    }
  }

  // What IDEs and reporting tools ask before they show anything.
  static void metadata(Connection db) throws Exception {
    DatabaseMetaData meta = db.getMetaData();
    equal(meta.getDatabaseProductName(), "PostgreSQL", "the product");
    equal(meta.getDatabaseMajorVersion(), 15, "the version");
    holds(meta.getDriverVersion().startsWith("42.5"), "the driver is " + meta.getDriverVersion());
    equal(column(meta.getCatalogs(), "TABLE_CAT"), List.of("millrace"), "catalogs");
    holds(column(meta.getSchemas(), "TABLE_SCHEM").containsAll(List.of("public", "millrace", "pg_catalog")), "schemas");
    holds(column(meta.getTableTypes(), "TABLE_TYPE").contains("MATERIALIZED VIEW"), "types of tables");
    var kinds = new TreeMap<String, String>();
    try (ResultSet rows = meta.getTables(null, "public", "%", new String[] {"TABLE", "VIEW", "MATERIALIZED VIEW"})) {
      while (rows.next()) kinds.put(rows.getString("TABLE_NAME"), rows.getString("TABLE_TYPE"));
    }
    equal(kinds.get("trips"), "TABLE", "trips");
    equal(kinds.get("by_city"), "MATERIALIZED VIEW", "by_city");
    var types = new ArrayList<String>();
    try (ResultSet rows = meta.getColumns(null, "public", "trips", "%")) {
      while (rows.next()) {
        types.add(rows.getString("COLUMN_NAME") + " " + rows.getInt("DATA_TYPE") + " " + rows.getString("TYPE_NAME"));
      }
    }
    equal(types, List.of("at " + Types.TIMESTAMP + " timestamp", "city " + Types.VARCHAR + " text",
                         "n " + Types.INTEGER + " int4"), "the columns of trips");
    equal(column(meta.getPrimaryKeys(null, "public", "by_city"), "COLUMN_NAME"), List.of("city"), "the key of by_city");
    equal(column(meta.getIndexInfo(null, "public", "by_city", true, false), "COLUMN_NAME"), List.of("city"), "its index");
    equal(column(meta.getBestRowIdentifier(null, "public", "by_city", DatabaseMetaData.bestRowSession, true),
                 "COLUMN_NAME"), List.of("city"), "its best row identifier");
    equal(column(meta.getImportedKeys(null, "public", "trips"), "FKTABLE_NAME"), List.of(), "foreign keys");
    equal(column(meta.getExportedKeys(null, "public", "trips"), "FKTABLE_NAME"), List.of(), "exported keys");
    equal(column(meta.getCrossReference(null, "public", "trips", null, "public", "by_city"), "FKTABLE_NAME"), List.of(),
          "cross references");
    equal(column(meta.getVersionColumns(null, "public", "trips"), "COLUMN_NAME"), List.of("ctid"), "version columns");
    holds(column(meta.getTypeInfo(), "TYPE_NAME").containsAll(List.of("int4", "text", "numeric", "timestamp")), "types");
    column(meta.getTablePrivileges(null, "public", "%"), "PRIVILEGE");
    column(meta.getColumnPrivileges(null, "public", "trips", "%"), "PRIVILEGE");
    column(meta.getProcedures(null, null, "%"), "PROCEDURE_NAME");
    column(meta.getFunctions(null, null, "%"), "FUNCTION_NAME");
    column(meta.getFunctionColumns(null, null, "version", "%"), "COLUMN_NAME");
    column(meta.getUDTs(null, "public", "%", null), "TYPE_NAME");
    column(meta.getClientInfoProperties(), "NAME");
    holds(meta.getMaxColumnNameLength() == 63, "the longest name");
    holds(!meta.getSQLKeywords().isEmpty(), "keywords");
    try (PreparedStatement statement = db.prepareStatement("SELECT city AS town, n FROM trips WHERE n > ?")) {
      equal(statement.getParameterMetaData().getParameterTypeName(1), "int4", "the type of the parameter");
      ResultSetMetaData columns = statement.getMetaData();
      equal(columns.getColumnCount(), 2, "columns before the execution");
      equal(columns.getColumnLabel(1), "town", "the label");
      equal(columns.getColumnTypeName(2), "int4", "the type");
      columns.getTableName(1);
      columns.isNullable(1);
      columns.isAutoIncrement(2);
    }
  }

  // Parameters and results of each type, before and after the driver prepares on the server and takes binary.
  static void values(Connection ignored) throws Exception {
    for (String threshold : List.of("-1", "0", "1", "3")) {
      try (Connection db = connect("prepareThreshold", threshold)) {
        for (int i = 0; i < 5; ++i) one_round_of_values(db, threshold + ", execution " + i);
      }
    }
  }

  static void one_round_of_values(Connection db, String when) throws Exception {
    var at = LocalDateTime.of(2026, 2, 28, 12, 0, 0, 250_000_000);
    var day = LocalDate.of(2026, 2, 28);
    var id = UUID.fromString("00000000-0000-0000-0000-00000000000a");
    String sql = "SELECT ?::BOOLEAN, ?::SMALLINT, ?::INTEGER, ?::BIGINT, ?::FLOAT, ?::DOUBLE, ?::DECIMAL(9,3), ?::VARCHAR,"
        + " ?::BLOB, ?::DATE, ?::TIME, ?::TIMESTAMP, ?::TIMESTAMPTZ, ?::UUID, ?::INTEGER[], ?::VARCHAR[], ?::INTEGER,"
        + " 18446744073709551615::UBIGINT, {'a': 1}, [1.5, 2.5]::DOUBLE[]";
    try (PreparedStatement statement = db.prepareStatement(sql)) {
      statement.setBoolean(1, true);
      statement.setShort(2, (short) 12);
      statement.setInt(3, -5);
      statement.setLong(4, 9_000_000_000L);
      statement.setFloat(5, 1.5f);
      statement.setDouble(6, 0.1);
      statement.setBigDecimal(7, new BigDecimal("-12.340"));
      statement.setString(8, "é'\"\\");
      statement.setBytes(9, new byte[] {0, 1, (byte) 0xff, 'a', '\''});
      statement.setObject(10, day);
      statement.setObject(11, LocalTime.of(23, 59, 59, 500_000_000));
      statement.setObject(12, at);
      statement.setObject(13, OffsetDateTime.of(at, ZoneOffset.ofHours(2)));
      statement.setObject(14, id);
      statement.setArray(15, db.createArrayOf("int4", new Integer[] {1, 2, null}));
      statement.setArray(16, db.createArrayOf("text", new String[] {"a", "b,\"\\", null, "NULL", ""}));
      statement.setNull(17, Types.INTEGER);
      try (ResultSet row = statement.executeQuery()) {
        row.next();
        equal(row.getBoolean(1), true, "boolean " + when);
        equal(row.getShort(2), (short) 12, "smallint " + when);
        equal(row.getInt(3), -5, "integer " + when);
        equal(row.getLong(4), 9_000_000_000L, "bigint " + when);
        equal(row.getFloat(5), 1.5f, "real " + when);
        equal(row.getDouble(6), 0.1, "double " + when);
        equal(row.getBigDecimal(7), new BigDecimal("-12.340"), "decimal " + when);
        equal(row.getString(8), "é'\"\\", "text " + when);
        holds(Arrays.equals(row.getBytes(9), new byte[] {0, 1, (byte) 0xff, 'a', '\''}), "bytea " + when);
        equal(row.getObject(10, LocalDate.class), day, "date " + when);
        equal(row.getObject(11, LocalTime.class), LocalTime.of(23, 59, 59, 500_000_000), "time " + when);
        equal(row.getObject(12, LocalDateTime.class), at, "timestamp " + when);
        equal(row.getObject(13, OffsetDateTime.class).toInstant(), at.toInstant(ZoneOffset.ofHours(2)), "timestamptz " + when);
        equal(row.getObject(14), id, "uuid " + when);
        equal(Arrays.asList((Object[]) row.getArray(15).getArray()), Arrays.asList(1, 2, null), "int4[] " + when);
        equal(Arrays.asList((Object[]) row.getArray(16).getArray()), Arrays.asList("a", "b,\"\\", null, "NULL", ""),
              "text[] " + when);
        equal(row.getObject(17), null, "null " + when);
        holds(row.wasNull(), "that it is null " + when);
        equal(row.getBigDecimal(18), new BigDecimal("18446744073709551615"), "numeric " + when);
        equal(row.getString(19).replace(" ", ""), "{\"a\":1}", "a struct as json " + when);
        equal(Arrays.asList((Object[]) row.getArray(20).getArray()), Arrays.asList(1.5, 2.5), "float8[] " + when);
      }
    }
    // The old classes of java.sql, in the time zone of the machine.
    try (PreparedStatement statement = db.prepareStatement("SELECT ?::TIMESTAMP, ?::DATE, ?::TIME")) {
      statement.setTimestamp(1, Timestamp.valueOf(at));
      statement.setDate(2, Date.valueOf(day));
      statement.setTime(3, Time.valueOf("23:59:59"));
      try (ResultSet row = statement.executeQuery()) {
        row.next();
        equal(row.getTimestamp(1), Timestamp.valueOf(at), "Timestamp " + when);
        equal(row.getDate(2), Date.valueOf(day), "Date " + when);
        equal(row.getTime(3).toString(), "23:59:59", "Time " + when);
      }
    }
  }

  // One row by key, the same statement again and again: the way of an application.
  static void lookups(Connection ignored) throws Exception {
    try (Connection db = connect("prepareThreshold", "1");
         PreparedStatement statement = db.prepareStatement("SELECT trips, n FROM by_city WHERE city = ?")) {
      for (int i = 0; i < 50; ++i) {
        for (String city : List.of("Lima", "Oslo", "nowhere")) {
          statement.setString(1, city);
          try (ResultSet row = statement.executeQuery()) {
            equal(row.next(), !city.equals("nowhere"), city);
            if (city.equals("Lima")) equal(row.getLong("trips") + " " + row.getLong("n"), "2 2", city);
          }
        }
      }
    }
    try (Connection db = connect(); PreparedStatement statement =
             db.prepareStatement("SELECT city FROM by_city WHERE city = ANY(?) ORDER BY city")) {
      statement.setArray(1, db.createArrayOf("text", new String[] {"Oslo", "Lima", "Rome"}));
      equal(column(statement.executeQuery(), "city"), List.of("Lima", "Oslo"), "many keys");
    }
  }

  // By the piece: portals with a row limit, in a transaction; and a result that can be walked both ways.
  static void cursors(Connection db) throws Exception {
    db.setAutoCommit(false);
    try (Statement statement = db.createStatement()) {
      statement.setFetchSize(7);
      try (ResultSet rows = statement.executeQuery("SELECT i FROM range(1000) t(i) ORDER BY i")) {
        for (long i = 0; i < 1000; ++i) {
          rows.next();
          equal(rows.getLong(1), i, "by the piece");
        }
        holds(!rows.next(), "more rows than there are");
      }
      statement.setMaxRows(5);
      try (ResultSet rows = statement.executeQuery("SELECT i FROM range(1000) t(i)")) {
        equal(column(rows, "i").size(), 5, "rows, with a limit");
      }
    }
    db.commit();
    try (Statement statement = db.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY);
         ResultSet rows = statement.executeQuery("SELECT i FROM range(10) t(i) ORDER BY i")) {
      rows.absolute(-1);
      equal(rows.getInt(1), 9, "the last one");
      rows.previous();
      equal(rows.getInt(1), 8, "the one before");
    }
  }

  // Batches into a stream, as one statement each and as the driver writes them together.
  static void inserts(Connection ignored) throws Exception {
    for (String together : List.of("false", "true")) {
      try (Connection db = connect("reWriteBatchedInserts", together)) {
        long before = number(db, "SELECT count(*) FROM trips");
        db.setAutoCommit(false);
        try (PreparedStatement insert = db.prepareStatement("INSERT INTO trips (at, city, n) VALUES (?, ?, ?)")) {
          for (int i = 0; i < 100; ++i) {
            insert.setTimestamp(1, Timestamp.valueOf("2026-03-01 00:00:00"));
            insert.setString(2, "batch, " + together);
            insert.setInt(3, i);
            insert.addBatch();
          }
          equal(insert.executeBatch().length, 100, "results of the batch");
        }
        db.commit();
        equal(number(db, "SELECT count(*) FROM trips"), before + 100, "rows, written together: " + together);
        equal(number(db, "SELECT n FROM by_city WHERE city = 'batch, " + together + "'"), 4950L, "the view");
        db.commit();
        try (PreparedStatement insert = db.prepareStatement("INSERT INTO trips (at, city, n) VALUES (?::TIMESTAMP, 'x', 1)")) {
          insert.setString(1, "2026-03-01 00:00:00");
          insert.addBatch();
          insert.setString(1, "no time");
          insert.addBatch();
          insert.executeBatch();
          holds(false, "a batch with a bad row");
        } catch (BatchUpdateException error) {
          holds(error.getSQLState().startsWith("22"), error.getSQLState() + " " + error.getMessage());
        }
        db.rollback();
        equal(number(db, "SELECT count(*) FROM trips"), before + 100, "rows behind a bad batch");
        db.commit();
      }
    }
    try (Connection db = connect(); Statement statement = db.createStatement()) {
      equal(statement.executeUpdate("INSERT INTO trips VALUES ('2026-03-01 00:00:00', 'one', 1)"), 1, "the count");
    }
  }

  static void transactions(Connection db) throws Exception {
    long before = number(db, "SELECT count(*) FROM trips");
    for (int level : new int[] {Connection.TRANSACTION_READ_COMMITTED, Connection.TRANSACTION_REPEATABLE_READ,
                                Connection.TRANSACTION_SERIALIZABLE}) {
      db.setTransactionIsolation(level);
      equal(db.getTransactionIsolation(), Connection.TRANSACTION_REPEATABLE_READ, "the level, whichever was wanted");
    }
    db.setAutoCommit(false);
    try (Statement statement = db.createStatement()) {
      statement.executeUpdate("INSERT INTO trips VALUES ('2026-03-01 00:00:00', 'gone', 1)");
      db.rollback();
      equal(number(db, "SELECT count(*) FROM trips"), before, "rows behind ROLLBACK");
      db.commit();
      statement.executeUpdate("INSERT INTO trips VALUES ('2026-03-01 00:00:00', 'stays', 1)");
      Savepoint here = db.setSavepoint();
      statement.executeUpdate("INSERT INTO trips VALUES ('2026-03-01 00:00:00', 'gone', 1)");
      db.rollback(here);
      db.commit();
      equal(number(db, "SELECT count(*) FROM trips"), before + 1, "rows behind COMMIT");
      try (ResultSet rows = statement.executeQuery("SELECT * FROM nothing")) {
        holds(false, "an error");
      } catch (SQLException error) {
        equal(error.getSQLState(), "42P01", error.getMessage());
      }
      try {
        statement.executeQuery("SELECT 1");
        holds(false, "an error in a transaction that has failed");
      } catch (SQLException error) {
        equal(error.getSQLState(), "25P02", error.getMessage());
      }
      db.rollback();
      db.setReadOnly(true);
      try {
        statement.executeUpdate("INSERT INTO trips VALUES ('2026-03-01 00:00:00', 'never', 1)");
        holds(false, "an INSERT while only reading is allowed");
      } catch (SQLException error) {
        equal(error.getSQLState(), "25006", error.getMessage());
      }
      db.rollback();
      db.setReadOnly(false);
    }
    db.setAutoCommit(true);
    holds(db.isValid(5), "the connection is good");
  }

  static void copy(Connection db) throws Exception {
    CopyManager copies = db.unwrap(PGConnection.class).getCopyAPI();
    equal(copies.copyIn("COPY trips FROM STDIN (FORMAT csv)", new StringReader("2026-04-01 00:00:00,copied,1\n")), 1L, "rows in");
    var out = new StringWriter();
    equal(copies.copyOut("COPY (SELECT city, n FROM trips WHERE city = 'copied') TO STDOUT (FORMAT csv)", out), 1L, "rows out");
    equal(out.toString(), "copied,1\n", "the rows");
  }

  static void errors(Connection db) throws Exception {
    try (Statement statement = db.createStatement()) {
      statement.executeQuery("SELECT 'é', * FROM nothing");
      holds(false, "an error");
    } catch (PSQLException error) {
      equal(error.getSQLState(), "42P01", error.getMessage());
      equal(error.getServerErrorMessage().getPosition(), 20, "the position");
      equal(error.getServerErrorMessage().getWhere(), "MR1201", "the id");
    }
    try (PreparedStatement statement = db.prepareStatement("SELECT ?::INTEGER")) {
      statement.setString(1, "no number");
      statement.executeQuery();
      holds(false, "an error");
    } catch (SQLException error) {
      equal(error.getSQLState(), "22P02", error.getMessage());
    }
    equal(number(db, "SELECT 1"), 1L, "behind errors");
  }

  static void cancel(Connection db) throws Exception {
    String slow = "SELECT count(*) FROM range(10000000) a, range(10000000) b";
    try (Statement statement = db.createStatement()) {
      var canceller = new Thread(() -> {
        try {
          Thread.sleep(500);
          statement.cancel();
        } catch (Exception error) {
          error.printStackTrace();
        }
      });
      canceller.start();
      try {
        statement.executeQuery(slow);
        holds(false, "an end without an error");
      } catch (SQLException error) {
        equal(error.getSQLState(), "57014", error.getMessage());
      }
      canceller.join();
      statement.setQueryTimeout(1);
      try {
        statement.executeQuery(slow);
        holds(false, "an end without an error");
      } catch (SQLException error) {
        equal(error.getSQLState(), "57014", error.getMessage());
      }
    }
    equal(number(db, "SELECT 1"), 1L, "behind a cancelled statement");
  }

  // That there is a connection at all; who and how is in the URL.
  static void login(Connection db) throws Exception {
    equal(number(db, "SELECT trips FROM by_city WHERE city = 'Oslo'"), 1L, "a look-up");
  }
}
