{#
  How models become objects of Millrace: each in one statement that replaces what is there, where dbt-postgres would make
  a second object and rename both. A materialized view whose SELECT has changed is built beside the one that serves.
#}
{% materialization materialized_view, adapter='postgres' %}
  {{ return(millrace_object('materialized view')) }}
{% endmaterialization %}

{% materialization view, adapter='postgres' %}
  {{ return(millrace_object('view')) }}
{% endmaterialization %}

{% materialization table, adapter='postgres' %}
  {{ return(millrace_object('table')) }}
{% endmaterialization %}

{% materialization incremental, adapter='postgres' %}
  {% do exceptions.raise_compiler_error("incremental: make it a materialized_view, which every event keeps up to date") %}
{% endmaterialization %}

{% macro millrace_object(kind) %}
  {% set relation = this.incorporate(type=kind | replace(' ', '_')) %}
  {{ run_hooks(pre_hooks) }}
  {% call statement('main') %}
    create or replace {{ kind }} {{ relation }} as {{ sql }}
  {% endcall %}
  {{ run_hooks(post_hooks) }}
  {% do return({'relations': [relation]}) %}
{% endmacro %}
